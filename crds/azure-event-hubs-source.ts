import { type AzureIdentity, onlyOne, readIdentity } from './azure-auth.ts'
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

type FromSecret = { readonly secretKeyRef: SecretKeyRef }

/**
 * AzureEventHubsSource, sources.weir.dev/v1alpha1: events of one hub of Azure Event Hubs, each partition in its order. How
 * far they are done is kept in a blob container, as the official clients keep it.
 */
export interface AzureEventHubsSourceResource extends ResourceOf<'AzureEventHubsSource', 'sources.weir.dev/v1alpha1'> {
  readonly spec: SourceFields & {
    /** `acme` or `acme.servicebus.windows.net`; a connection string says it too. */
    readonly namespace?: string
    /** A connection string with `EntityPath` says it too. */
    readonly eventHubName?: string
    /** `$Default`. */
    readonly consumerGroup: string
    readonly auth: {
      readonly connectionString?: FromSecret
      readonly sasToken?: FromSecret
      readonly workloadIdentity?: AzureIdentity
    }
    /** Where a partition is begun that has no checkpoint: `earliest`. */
    readonly initialPosition: InitialPosition
    readonly checkpoint: {
      readonly blobContainerUrl?: string
      readonly containerName?: string
      /** None of them: the identity that opens the hub, or the signature in the address. */
      readonly auth: {
        readonly connectionString?: FromSecret
        readonly accountKey?: FromSecret
        readonly sasToken?: FromSecret
      }
      /** The longest that done events wait for their checkpoint, PT1S. */
      readonly intervalMs: number
    }
    /** Who has not been heard of for so long has lost its partitions; PT30S. */
    readonly ownershipTimeoutMs: number
    readonly payload: 'auto' | 'cloudevents' | 'eventgrid' | 'raw'
  }
}

export type InitialPosition =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'time'; readonly timeMs: number }

type Spec = AzureEventHubsSourceResource['spec']

const FIELDS = [
  'namespace',
  'eventHubName',
  'consumerGroup',
  'auth',
  'initialPosition',
  'checkpoint',
  'ownershipTimeout',
  'payload',
  ...SOURCE_FIELDS,
] as const

const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    connectionString: 'indent it under `auth`',
    sasToken: 'indent it under `auth`',
    workloadIdentity: 'indent it under `auth`',
    hubName: 'did you mean `eventHubName`?',
    eventHub: 'did you mean `eventHubName`?',
    eventHubID: 'write `namespace` and `eventHubName`',
    blobContainerUrl: 'indent it under `checkpoint`',
    containerName: 'indent it under `checkpoint`',
    ...SOURCE_HINTS,
  },
}

const AUTH: Shape<'connectionString' | 'sasToken' | 'workloadIdentity'> = {
  known: ['connectionString', 'sasToken', 'workloadIdentity'],
  hints: { secretKeyRef: 'indent it under `connectionString`', clientId: 'indent it under `workloadIdentity`' },
}
const CHECKPOINT: Shape<'blobContainerUrl' | 'containerName' | 'auth' | 'interval'> = {
  known: ['blobContainerUrl', 'containerName', 'auth', 'interval'],
  hints: {
    connectionString: 'indent it under `auth`',
    accountKey: 'indent it under `auth`',
    sasToken: 'indent it under `auth`',
    kubernetesLease: 'it is not supported: use `blobContainerUrl`',
  },
}
const CHECKPOINT_AUTH: Shape<'connectionString' | 'accountKey' | 'sasToken'> = {
  known: ['connectionString', 'accountKey', 'sasToken'],
  hints: { workloadIdentity: 'write it in `spec.auth`: it opens the container too' },
}
const MINUTE_MS = 60_000
/** Ages of blobs are known to the second. */
const LEAST_OWNERSHIP_MS = 3_000

/** Reads an AzureEventHubsSource; what is wrong with it is told to the sheet of `value`. */
export function parseAzureEventHubsSource(value: Value): AzureEventHubsSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'AzureEventHubsSource')
  const spec = top.requiredSection('spec', SPEC)
  const auth = readAuth(spec)
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureEventHubsSource',
    metadata,
    where: value.where,
    spec: {
      ...readHubNames(spec, auth),
      consumerGroup: spec.get('consumerGroup')?.word() ?? '$Default',
      auth,
      initialPosition: readInitialPosition(spec.get('initialPosition')) ?? { kind: 'earliest' },
      checkpoint: readCheckpoint(spec, auth),
      ownershipTimeoutMs: spec.get('ownershipTimeout')?.durationMs(LEAST_OWNERSHIP_MS, 10 * MINUTE_MS) ?? 30_000,
      payload: spec.get('payload')?.oneOf(['auto', 'cloudevents', 'eventgrid', 'raw']) ?? 'auto',
      ...readSourceFields(spec, metadata.namespace),
    },
  }
}

interface HubNames {
  readonly namespace?: string
  readonly eventHubName?: string
}

/** `namespace` and `eventHubName`, which only a connection string can stand in for. */
export function readHubNames(
  spec: Fields<'namespace' | 'eventHubName'>,
  auth: { readonly connectionString?: FromSecret },
): HubNames {
  const namespace = spec.get('namespace')
  const name = spec.get('eventHubName')
  if (auth.connectionString === undefined) {
    if (namespace === undefined) spec.miss('`spec` needs `namespace`: only a connection string says it too')
    if (name === undefined) spec.miss('`spec` needs `eventHubName`')
  }
  return present({
    namespace: readName(
      namespace,
      /^(?:[a-z][a-z0-9-]{4,48}[a-z0-9]|[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?)$/i,
      NAMESPACE,
    ),
    eventHubName: readName(name, /^[\w.-]{1,256}$/, 'a hub: letters, digits, `.`, `-` and `_`'),
  })
}

const NAMESPACE = 'a namespace, as in "acme" or "acme.servicebus.windows.net"'

function readName(value: Value | undefined, pattern: RegExp, what: string): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (pattern.test(name)) return name
  return value.mistake(`\`${value.path}\` must name ${what}, not \`${short(name)}\``)
}

/** One of the ways to open a hub. */
export function readAuth(spec: Fields<'auth'>): Spec['auth'] {
  const auth = spec.section('auth', AUTH)
  onlyOne(spec, auth, AUTH.known, '`spec.auth`')
  const connectionString = auth.get('connectionString')
  const sasToken = auth.get('sasToken')
  return present({
    connectionString: connectionString && readFromSecret(connectionString),
    sasToken: sasToken && readFromSecret(sasToken),
    workloadIdentity: readIdentity(auth.get('workloadIdentity')),
  })
}

function readInitialPosition(value: Value | undefined): InitialPosition | undefined {
  const text = value?.word()
  if (value === undefined || text === undefined) return undefined
  if (text === 'earliest' || text === 'latest') return { kind: text }
  const timeMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(timeMs)) return { kind: 'time', timeMs }
  return value.mistake(
    `\`${value.path}\` must be \`earliest\`, \`latest\` or a time as in "2026-11-25T09:00:00Z", not \`${short(text)}\``,
  )
}

function readCheckpoint(spec: Fields<'checkpoint'>, hubAuth: Spec['auth']): Spec['checkpoint'] {
  const fields = spec.requiredSection('checkpoint', CHECKPOINT)
  const url = fields.get('blobContainerUrl')
  const name = fields.get('containerName')
  const auth = fields.section('auth', CHECKPOINT_AUTH)
  const [connectionString, accountKey, sasToken] = CHECKPOINT_AUTH.known.map(one => auth.get(one))
  const address = url && readContainerUrl(url)
  const given = [connectionString, accountKey, sasToken].filter(one => one !== undefined)
  const signed = address !== undefined && /[?&]sig=/.test(address)
  given[1]?.mistake('`spec.checkpoint.auth` takes exactly one of `connectionString`, `accountKey` and `sasToken`')
  if (given.length === 0 && !signed && hubAuth.workloadIdentity === undefined)
    fields.miss(
      '`spec.checkpoint.auth` needs `connectionString`, `accountKey` or `sasToken`, each with a `secretKeyRef`',
    )
  if (url === undefined && connectionString === undefined) fields.miss('`spec.checkpoint` needs `blobContainerUrl`')
  else if (url === undefined && name === undefined)
    fields.miss('`spec.checkpoint` needs `containerName` beside a connection string')
  return {
    auth: present({
      connectionString: connectionString && readFromSecret(connectionString),
      accountKey: accountKey && readFromSecret(accountKey),
      sasToken: sasToken && readFromSecret(sasToken),
    }),
    intervalMs: fields.get('interval')?.durationMs(100, 10 * MINUTE_MS) ?? 1_000,
    ...present({
      blobContainerUrl: address,
      containerName: readName(
        name,
        /^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/,
        'a container: 3 to 63 lower-case letters, digits and single dashes',
      ),
    }),
  }
}

function readContainerUrl(value: Value): string | undefined {
  const url = value.word()
  if (url === undefined) return undefined
  if (/^https?:\/\/[^/]+\/[^?]+/i.test(url) && URL.canParse(url)) return url
  return value.mistake(
    `\`${value.path}\` must be a container's address, as in "https://account.blob.core.windows.net/checkpoints"`,
  )
}
