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

/** Where a queue or topic of Azure Service Bus is, and who opens it. */
export interface ServiceBusPlace {
  /** `acme` or `acme.servicebus.windows.net`; a connection string says it too. */
  readonly namespace?: string
  readonly queueName?: string
  readonly topicName?: string
  readonly auth: {
    readonly connectionString?: FromSecret
    readonly sasToken?: FromSecret
    readonly workloadIdentity?: AzureIdentity
  }
}

/** AzureServiceBusSource, sources.weir.dev/v1alpha1: messages of a queue, or of a topic's subscription, become events. */
export interface AzureServiceBusSourceResource
  extends ResourceOf<'AzureServiceBusSource', 'sources.weir.dev/v1alpha1'> {
  readonly spec: SourceFields &
    ServiceBusPlace & {
      readonly subscriptionName?: string
      /** Of an entity that requires sessions: each in its order, `maxConcurrent` (8) at once in one replica. */
      readonly sessions: { readonly enabled: boolean; readonly maxConcurrent: number }
      /** Messages held at once by one replica, 16. With sessions it is one a session. */
      readonly parallelism: number
      /** After so long a message that nobody takes is abandoned; ISO 8601. Undefined: it is held for as long as it takes. */
      readonly maxLockRenewalMs?: number
      /** What becomes the id of an event that brings none: `sequenceNumber`. */
      readonly idFrom: 'sequenceNumber' | 'messageId'
      /** What becomes of a message that the sink refuses, where there is no dead-letter sink: `deadLetter`. */
      readonly onExhausted: 'deadLetter' | 'abandon'
      readonly payload: 'auto' | 'cloudevents' | 'eventgrid' | 'raw'
    }
}

type Spec = AzureServiceBusSourceResource['spec']

export const PLACE_FIELDS = ['namespace', 'queueName', 'topicName', 'auth'] as const

const FIELDS = [
  ...PLACE_FIELDS,
  'subscriptionName',
  'transport',
  'sessions',
  'parallelism',
  'maxLockRenewal',
  'idFrom',
  'onExhausted',
  'payload',
  ...SOURCE_FIELDS,
] as const

export const PLACE_HINTS: Readonly<Record<string, string>> = {
  connectionString: 'indent it under `auth`',
  sasToken: 'indent it under `auth`',
  workloadIdentity: 'indent it under `auth`',
  queue: 'did you mean `queueName`?',
  topic: 'did you mean `topicName`?',
  queueID: 'write `namespace` and `queueName`',
  topicID: 'write `namespace`, `topicName` and `subscriptionName`',
}

const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    ...PLACE_HINTS,
    subscription: 'did you mean `subscriptionName`?',
    maxConcurrent: 'indent it under `sessions`, or write `parallelism`',
    ...SOURCE_HINTS,
  },
}

const AUTH: Shape<'connectionString' | 'sasToken' | 'workloadIdentity'> = {
  known: ['connectionString', 'sasToken', 'workloadIdentity'],
  hints: { secretKeyRef: 'indent it under `connectionString`', clientId: 'indent it under `workloadIdentity`' },
}
const DAY_MS = 86_400_000
/** More at once than this are a slip: the client keeps 2,048 unsettled at most. */
const MOST_PARALLEL = 1024

/** Reads an AzureServiceBusSource; what is wrong with it is told to the sheet of `value`. */
export function parseAzureServiceBusSource(value: Value): AzureServiceBusSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'AzureServiceBusSource')
  const spec = top.requiredSection('spec', SPEC)
  const sessions = spec.section('sessions', { known: ['enabled', 'maxConcurrent'] })
  const maxConcurrent = sessions.get('maxConcurrent')
  const enabled = sessions.get('enabled')?.boolean() ?? false
  if (maxConcurrent !== undefined && !enabled)
    maxConcurrent.mistake('`spec.sessions.maxConcurrent` does nothing without `enabled: true` beside it')
  readTransport(spec.get('transport'))
  const place = readPlace(spec)
  return {
    apiVersion: 'sources.weir.dev/v1alpha1',
    kind: 'AzureServiceBusSource',
    metadata,
    where: value.where,
    spec: {
      ...place,
      ...present({
        subscriptionName: readSubscription(spec, place),
        maxLockRenewalMs: spec.get('maxLockRenewal')?.durationMs(1_000, DAY_MS),
      }),
      sessions: { enabled, maxConcurrent: maxConcurrent?.integer(1, MOST_PARALLEL) ?? 8 },
      parallelism: spec.get('parallelism')?.integer(1, MOST_PARALLEL) ?? 16,
      idFrom: spec.get('idFrom')?.oneOf(['sequenceNumber', 'messageId']) ?? 'sequenceNumber',
      onExhausted: spec.get('onExhausted')?.oneOf(['deadLetter', 'abandon']) ?? 'deadLetter',
      payload: spec.get('payload')?.oneOf(['auto', 'cloudevents', 'eventgrid', 'raw']) ?? 'auto',
      ...readSourceFields(spec, metadata.namespace),
    },
  }
}

/** Reads where a queue or topic is, and how it is opened. */
export function readPlace(spec: Fields<(typeof PLACE_FIELDS)[number]>): ServiceBusPlace {
  const auth = spec.section('auth', AUTH)
  onlyOne(spec, auth, AUTH.known, '`spec.auth`')
  const connectionString = auth.get('connectionString')
  const sasToken = auth.get('sasToken')
  const namespace = spec.get('namespace')
  const queueName = spec.get('queueName')
  const topicName = spec.get('topicName')
  if (queueName !== undefined && topicName !== undefined)
    topicName.mistake('`spec` takes exactly one of `queueName` and `topicName`')
  if (queueName === undefined && topicName === undefined) spec.miss('`spec` needs `queueName` or `topicName`')
  if (namespace === undefined && connectionString === undefined)
    spec.miss('`spec` needs `namespace`: only a connection string says it too')
  return {
    auth: present({
      connectionString: connectionString && readFromSecret(connectionString),
      sasToken: sasToken && readFromSecret(sasToken),
      workloadIdentity: readIdentity(auth.get('workloadIdentity')),
    }),
    ...present({
      namespace: readName(namespace, NAMESPACE, 'a namespace, as in "acme" or "acme.servicebus.windows.net"'),
      queueName: readName(queueName, ENTITY, 'a queue: letters, digits, `.`, `-`, `_` and `/`'),
      topicName: readName(topicName, ENTITY, 'a topic: letters, digits, `.`, `-`, `_` and `/`'),
    }),
  }
}

const NAMESPACE = /^(?:[a-z][a-z0-9-]{4,48}[a-z0-9]|[a-z0-9-]+(?:\.[a-z0-9-]+)+)$/i
const ENTITY = /^(?=.{1,260}$)[\w.-]+(?:\/[\w.-]+)*$/
const SUBSCRIPTION = /^[\w.-]{1,50}$/

function readName(value: Value | undefined, pattern: RegExp, what: string): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (pattern.test(name)) return name
  return value.mistake(`\`${value.path}\` must name ${what}, not \`${short(name)}\``)
}

function readSubscription(spec: Fields<'subscriptionName'>, place: ServiceBusPlace): Spec['subscriptionName'] {
  const value = spec.get('subscriptionName')
  if (value === undefined) {
    if (place.topicName !== undefined && place.queueName === undefined)
      spec.miss('`spec.topicName` needs `subscriptionName` beside it')
    return undefined
  }
  if (place.topicName === undefined) value.mistake('`spec.subscriptionName` needs `topicName` beside it')
  return readName(value, SUBSCRIPTION, 'a subscription: up to 50 letters, digits, `.`, `-` and `_`')
}

function readTransport(value: Value | undefined): void {
  const transport = value?.oneOf(['amqp', 'websockets'])
  if (transport === 'websockets') value?.mistake('`spec.transport`: only `amqp` is supported, on port 5671')
}
