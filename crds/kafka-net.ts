import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import { readFromSecret, type SecretKeyRef } from './source-fields.ts'
import type { SecretRefs } from './sources.ts'

type FromSecret = { readonly secretKeyRef: SecretKeyRef }

/** `net` of Knative's Kafka resources: how the brokers are spoken to. A section that is not enabled counts for nothing. */
export interface KafkaNet {
  readonly tls?: {
    /** PEM, each. */
    readonly caCert?: FromSecret
    readonly cert?: FromSecret
    readonly key?: FromSecret
  }
  readonly sasl?: {
    readonly user: FromSecret
    readonly password: FromSecret
    /** Where the name of the mechanism stands; PLAIN where it is not given. */
    readonly type?: FromSecret
  }
}

const NET: Shape<'tls' | 'sasl'> = { known: ['tls', 'sasl'] }
const TLS: Shape<'enable' | 'caCert' | 'cert' | 'key'> = {
  known: ['enable', 'caCert', 'cert', 'key'],
  hints: { ca: 'did you mean `caCert`?', enabled: 'did you mean `enable`?' },
}
const TOKENS = 'logging in with tokens is not supported: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512'
const SASL: Shape<'enable' | 'user' | 'password' | 'type'> = {
  known: ['enable', 'user', 'password', 'type'],
  hints: {
    tokenProvider: TOKENS,
    roleARN: TOKENS,
    mechanism: 'put it in a Secret and name that by `type`',
    username: 'did you mean `user`?',
    enabled: 'did you mean `enable`?',
  },
}

/** Reads `net` of `spec`. */
export function readKafkaNet(spec: Fields<'net'>): KafkaNet {
  const net = spec.section('net', NET)
  return present({ tls: readTls(net), sasl: readSasl(net) })
}

function readTls(net: Fields<'tls' | 'sasl'>): KafkaNet['tls'] {
  const tls = net.section('tls', TLS)
  const from = (name: 'caCert' | 'cert' | 'key') => optionalSecret(tls.get(name))
  const read = present({ caCert: from('caCert'), cert: from('cert'), key: from('key') })
  if (!isEnabled(tls, Object.keys(read).length > 0)) return undefined
  if ((read.cert === undefined) !== (read.key === undefined))
    tls.miss('`spec.net.tls` needs both `cert` and `key`, or neither')
  return read
}

function readSasl(net: Fields<'tls' | 'sasl'>): KafkaNet['sasl'] {
  const sasl = net.section('sasl', SASL)
  const user = optionalSecret(sasl.get('user'))
  const password = optionalSecret(sasl.get('password'))
  const type = optionalSecret(sasl.get('type'))
  if (!isEnabled(sasl, user !== undefined || password !== undefined || type !== undefined)) return undefined
  if (user === undefined || password === undefined) {
    sasl.miss('`spec.net.sasl` needs `user` and `password`, each with a `secretKeyRef`')
    return undefined
  }
  return { user, password, ...present({ type }) }
}

/** What is given and not enabled would be left out in silence, which nobody wants of a password. */
function isEnabled(section: Fields<'enable'>, given: boolean): boolean {
  const enable = section.get('enable')
  if (enable === undefined && given)
    section.owner.notice(`\`${section.owner.path}\` is off: it has no \`enable: true\``)
  return enable?.boolean() === true
}

function optionalSecret(value: Value | undefined): FromSecret | undefined {
  if (value === undefined) return undefined
  // Knative's own objects are written out with empty sections.
  if (value.isMap() && value.entries().length === 0) return undefined
  return readFromSecret(value)
}

/** The keys of Secrets of a `net`, by the names that the client knows them by. */
export function kafkaNetSecrets({ tls, sasl }: KafkaNet): SecretRefs {
  return {
    ...(tls?.caCert && { ca: tls.caCert.secretKeyRef }),
    ...(tls?.cert && { cert: tls.cert.secretKeyRef }),
    ...(tls?.key && { key: tls.key.secretKeyRef }),
    ...(sasl && { user: sasl.user.secretKeyRef, password: sasl.password.secretKeyRef }),
    ...(sasl?.type && { mechanism: sasl.type.secretKeyRef }),
  }
}

/** Reads a required list of `host:port`. */
export function readBootstrapServers(spec: Fields<'bootstrapServers'>): readonly string[] {
  const list = spec.required('bootstrapServers')
  if (list === undefined) return []
  const items = list.list()
  if (list.isList() && items.length === 0)
    list.mistake(`\`${list.path}\` must name one server at least, as in \`kafka:9092\``)
  return items.flatMap(item => readServer(item) ?? [])
}

function readServer(value: Value): string | undefined {
  const text = value.word()
  if (text === undefined) return undefined
  if (isHostAndPort(text)) return text
  return value.mistake(`\`${value.path}\` must be host:port as in \`kafka:9092\`, not \`${short(text)}\``)
}

/** `kafka:9092`, `127.0.0.1:9092`, `[::1]:9092`. */
export function isHostAndPort(text: string): boolean {
  const port = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?<port>\d{1,5})$/.exec(text)?.groups?.port
  return port !== undefined && Number(port) > 0 && Number(port) < 65_536
}

/** A topic's name as Kafka takes it: 1 to 249 letters, digits, `.`, `_` and `-`. */
export function readTopic(value: Value | undefined): string | undefined {
  const text = value?.word()
  if (value === undefined || text === undefined) return undefined
  if (/^[A-Za-z0-9._-]{1,249}$/.test(text) && text !== '.' && text !== '..') return text
  return value.mistake(
    `\`${value.path}\` must be 1 to 249 letters, digits, \`.\`, \`_\` and \`-\`, not \`${short(text)}\``,
  )
}
