import { certificatesIn } from '../../runtime/certificates.ts'

/** Which server and virtual host, and what opens it. Held in memory only: never logged, never reported. Plain data. */
export interface RabbitAccess {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly vhost: string
  readonly username: string
  readonly password: string
  /** Where the management API is thought to be: `http://host:15672`, with a path where it has one. */
  readonly management: string
  /** PEM of an authority that is trusted beside the usual ones. */
  readonly ca: string | undefined
}

/** The credentials cannot be what they claim to be. The message names parts, and never quotes values. */
export class RabbitAccessError extends Error {
  override readonly name = 'RabbitAccessError'
  readonly code = 'rabbit-access'
}

/** The standard ports of AMQP and of the management API, plain and with TLS, are this far apart. */
const MANAGEMENT_OFFSET = 10_000

/**
 * How a server is reached, out of a Secret. Pure.
 * @param credentials `host` as the cluster operator writes it, or `uri`: a host, or an address `amqp(s)://` or `http(s)://`,
 *   with or without a user, a password, a port and a virtual host in it; `username`, `password` and `port` win over those.
 *   The port in an http(s) address is that of the management API. `managementUri` says where that is, if elsewhere. `ca.crt` holds
 *   authorities (PEM) that vouch for the server.
 * @param vhost what the spec says; undefined takes the one in the address, or `/`.
 * @throws {RabbitAccessError} where something is missing.
 */
export function rabbitAccessOf(credentials: Readonly<Record<string, string>>, vhost: string | undefined): RabbitAccess {
  const given = credentials.uri ?? credentials.host
  if (given === undefined || given.trim() === '') throw new RabbitAccessError('neither `uri` nor `host` is set')
  const what = credentials.uri === undefined ? '`host`' : '`uri`'
  const url = addressOf(given.trim(), what)
  const tls = url.protocol === 'amqps:' || url.protocol === 'https:'
  const isManagement = url.protocol.startsWith('http')
  const port = portOf(credentials.port, isManagement ? '' : url.port) ?? (tls ? 5671 : 5672)
  const username = credentials.username ?? decoded(url.username, what)
  const password = credentials.password ?? decoded(url.password, what)
  if (username === '') throw new RabbitAccessError(`no user: set \`username\`, or write it into ${what}`)
  if (password === '') throw new RabbitAccessError(`no password: set \`password\`, or write it into ${what}`)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return {
    host,
    port,
    tls,
    vhost: vhost ?? vhostIn(url, what),
    username,
    password,
    management: managementOf(credentials.managementUri, isManagement ? url : undefined, url.hostname, port, tls),
    ca: authoritiesIn(credentials['ca.crt']),
  }
}

/** `amqp://host:5672/vhost`: safe to show. */
export function shownUrl({ host, port, tls, vhost }: RabbitAccess): string {
  const shown = host.includes(':') ? `[${host}]` : host
  return `${tls ? 'amqps' : 'amqp'}://${shown}:${port}/${vhost === '/' ? '' : encodeURIComponent(vhost)}`
}

function authoritiesIn(pem: string | undefined): string | undefined {
  if (pem === undefined || pem.trim() === '') return undefined
  try {
    certificatesIn(pem)
    return pem
  } catch {
    throw new RabbitAccessError('`ca.crt` holds no certificate (PEM), or a damaged one')
  }
}

function addressOf(given: string, what: string): URL {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? given : `amqp://${given}`)
  if (url === null || url.hostname === '') throw new RabbitAccessError(`${what} is no host and no address`)
  if (!/^(amqps?|https?):$/.test(url.protocol))
    throw new RabbitAccessError(`${what} must begin with amqp://, amqps://, http:// or https://, or be a host`)
  return url
}

function portOf(given: string | undefined, inAddress: string): number | undefined {
  const text = given?.trim() || inAddress
  if (text === '') return undefined
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new RabbitAccessError('`port` is no number from 1 to 65535')
  return port
}

/** `amqp://host/orders` names the virtual host `orders`, and `amqp://host/` none (RabbitMQ URI specification). */
function vhostIn(url: URL, what: string): string {
  if (url.protocol.startsWith('http')) return '/'
  const path = decoded(url.pathname.slice(1), what)
  return path === '' ? '/' : path
}

function managementOf(
  given: string | undefined,
  uri: URL | undefined,
  host: string,
  port: number,
  tls: boolean,
): string {
  if (given === undefined) {
    if (uri !== undefined) return `${uri.protocol}//${uri.host}${uri.port === '' ? `:${tls ? 15671 : 15672}` : ''}`
    return `${tls ? 'https' : 'http'}://${host}:${Math.min(port + MANAGEMENT_OFFSET, 65_535)}`
  }
  const url = URL.parse(given)
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new RabbitAccessError('`managementUri` is no address that begins with http:// or https://')
  return url.origin + url.pathname.replace(/\/$/, '')
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new RabbitAccessError(`${what} has a \`%\` in it that must be written as %25`)
  }
}
