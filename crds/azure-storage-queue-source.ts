import { type AzureIdentity, readIdentity } from './azure-auth.ts'
import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import {
  readFromSecret,
  readSourceFields,
  type SecretKeyRef,
  SOURCE_FIELDS,
  SOURCE_HINTS,
  type SourceFields,
} from './source-fields.ts'

/**
 * AzureStorageQueueSource, sources.weir.dev/v1alpha1: messages of one Azure Storage queue become events.
 * Either `queueUrl`, or `accountName` with `queueName`, or `queueName` with a connection string that names the account.
 */
export interface AzureStorageQueueSourceResource
  extends ResourceOf<'AzureStorageQueueSource', 'sources.weir.dev/v1alpha1'> {
  readonly spec: SourceFields & {
    readonly queueUrl?: string
    readonly accountName?: string
    readonly queueName?: string
    /** `core.windows.net` where unset. */
    readonly endpointSuffix: string
    readonly auth: {
      readonly connectionString?: { readonly secretKeyRef: SecretKeyRef }
      readonly accountKey?: { readonly secretKeyRef: SecretKeyRef }
      readonly sasToken?: { readonly secretKeyRef: SecretKeyRef }
      readonly workloadIdentity?: AzureIdentity
    }
    /** What the message text is. `auto` decodes it where it is base64 of UTF-8 text, and takes it as text otherwise. */
    readonly encoding: 'auto' | 'base64' | 'text'
    /** What the decoded text is: `auto` looks. A list becomes many events, and the message is done when all of them are. */
    readonly payload: 'auto' | 'cloudevents' | 'eventgrid' | 'raw'
    /** How long a received message stays hidden from others unless renewed; ISO 8601, PT30S. */
    readonly visibilityTimeoutMs: number
    /** Deliveries after which a message counts as poison, 5. */
    readonly maxDequeueCount: number
    /** Where poison goes: `<queue>-poison` unless named. `disabled` keeps trying. */
    readonly poison: { readonly queueName?: string; readonly disabled: boolean }
    /** Messages held at once by one replica, 16. */
    readonly parallelism: number
    readonly pollInterval: { readonly minMs: number; readonly maxMs: number }
  }
}

type Spec = AzureStorageQueueSourceResource['spec']

const FIELDS = [
  'queueUrl',
  'accountName',
  'queueName',
  'endpointSuffix',
  'auth',
  'encoding',
  'payload',
  'visibilityTimeout',
  'maxDequeueCount',
  'poison',
  'parallelism',
  'pollInterval',
  ...SOURCE_FIELDS,
] as const

const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    connectionString: 'indent it under `auth`',
    accountKey: 'indent it under `auth`',
    sasToken: 'indent it under `auth`',
    workloadIdentity: 'indent it under `auth`',
    ...SOURCE_HINTS,
  },
}

const AUTH: Shape<'connectionString' | 'accountKey' | 'sasToken' | 'workloadIdentity'> = {
  known: ['connectionString', 'accountKey', 'sasToken', 'workloadIdentity'],
  hints: { secretKeyRef: 'indent it under `connectionString`', clientId: 'indent it under `workloadIdentity`' },
}
const WEEK_MS = 7 * 86_400_000
/** More messages at once than this are a slip: one receive returns 32. */
const MOST_PARALLEL = 1024

/** Reads an AzureStorageQueueSource; what is wrong with it is told to the sheet of `value`. */
export function parseAzureStorageQueueSource(value: Value): AzureStorageQueueSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'AzureStorageQueueSource')
  const spec = top.requiredSection('spec', SPEC)
  const poison = spec.section('poison', { known: ['queueName', 'disabled'] })
  const queue = readQueue(spec)
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureStorageQueueSource',
    metadata,
    where: value.where,
    spec: {
      ...queue,
      endpointSuffix: spec.get('endpointSuffix')?.word() ?? 'core.windows.net',
      auth: readAuth(spec, queue),
      encoding: spec.get('encoding')?.oneOf(['auto', 'base64', 'text']) ?? 'auto',
      payload: spec.get('payload')?.oneOf(['auto', 'cloudevents', 'eventgrid', 'raw']) ?? 'auto',
      visibilityTimeoutMs: spec.get('visibilityTimeout')?.durationMs(1000, WEEK_MS) ?? 30_000,
      maxDequeueCount: spec.get('maxDequeueCount')?.integer(1) ?? 5,
      poison: {
        disabled: poison.get('disabled')?.boolean() ?? false,
        ...present({ queueName: readQueueName(poison.get('queueName')) }),
      },
      parallelism: spec.get('parallelism')?.integer(1, MOST_PARALLEL) ?? 16,
      pollInterval: readPollInterval(spec),
      ...readSourceFields(spec, metadata.namespace),
    },
  }
}

type Queue = Pick<Spec, 'queueUrl' | 'accountName' | 'queueName'>

/** Where a queue is. */
export function readQueue(spec: Fields<'queueUrl' | 'accountName' | 'queueName'>): Queue {
  const url = spec.get('queueUrl')
  const name = spec.get('queueName')
  if (url === undefined && name === undefined) spec.miss('`spec` needs `queueUrl` or `queueName`')
  return present({
    queueUrl: url && readQueueUrl(url),
    accountName: readAccountName(spec.get('accountName')),
    queueName: readQueueName(name),
  })
}

function readQueueUrl(value: Value): string | undefined {
  const url = value.word()
  if (url === undefined) return undefined
  if (/^https?:\/\/[^/]+\/[^?]+/i.test(url) && URL.canParse(url)) return url
  return value.mistake(
    `\`${value.path}\` must be a queue's address, as in "https://account.queue.core.windows.net/queue", not "${short(url)}"`,
  )
}

function readAccountName(value: Value | undefined): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (/^[a-z0-9]{3,24}$/.test(name)) return name
  return value.mistake(`\`${value.path}\` must be 3 to 24 lower-case letters and digits, not \`${short(name)}\``)
}

function readQueueName(value: Value | undefined): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (/^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) return name
  return value.mistake(
    `\`${value.path}\` must be 3 to 63 lower-case letters, digits and single dashes, not \`${short(name)}\``,
  )
}

/** One of the ways to open a queue; none where its address carries a signature. */
export function readAuth(spec: Fields<'auth'>, queue: Queue): Spec['auth'] {
  const auth = spec.section('auth', AUTH)
  const [connectionString, accountKey, sasToken, identity] = AUTH.known.map(name => auth.get(name))
  const given = [connectionString, accountKey, sasToken, identity].filter(one => one !== undefined)
  const signed = queue.queueUrl !== undefined && /[?&]sig=/.test(queue.queueUrl)
  const names = AUTH.known.filter(name => auth.get(name) !== undefined).map(name => `\`spec.auth.${name}\``)
  if (given.length > 1) given[1]?.mistake(`expected exactly one of ${listed(AUTH.known)}, got ${names.join(' and ')}`)
  if (given.length === 0 && !signed)
    spec.miss(
      '`spec.auth` needs `connectionString`, `accountKey` or `sasToken`, each with a `secretKeyRef`, or `workloadIdentity`',
    )
  if (queue.queueUrl === undefined && queue.accountName === undefined)
    for (const name of ['accountKey', 'sasToken', 'workloadIdentity'] as const)
      auth.get(name)?.mistake(`\`spec.auth.${name}\` needs \`spec.accountName\` beside it`)
  return present({
    connectionString: connectionString && readFromSecret(connectionString),
    accountKey: accountKey && readFromSecret(accountKey),
    sasToken: sasToken && readFromSecret(sasToken),
    workloadIdentity: readIdentity(identity),
  })
}

function listed(names: readonly string[]): string {
  const words = names.map(name => `\`${name}\``)
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)} in \`spec.auth\``
}

function readPollInterval(spec: Fields<(typeof FIELDS)[number]>): Spec['pollInterval'] {
  const fields = spec.section('pollInterval', { known: ['min', 'max'] })
  const max = fields.get('max')
  const minMs = fields.get('min')?.durationMs(1) ?? 100
  const maxMs = max?.durationMs(1) ?? Math.max(10_000, minMs)
  if (minMs > maxMs) max?.mistake('`spec.pollInterval.max` must not be less than `min`')
  return { minMs, maxMs }
}
