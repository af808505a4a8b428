import type { Value } from './reader.ts'
import { didYouMean, suggest } from './suggest.ts'

interface Parameter {
  /** `count` may be 0, `target` divides and may not. */
  readonly kind: 'text' | 'count' | 'target' | readonly string[]
  readonly required?: boolean
}

/** The scalers that are served, with their parameters as KEDA names them. */
export const SCALERS: Readonly<Record<string, Readonly<Record<string, Parameter>>>> = {
  weir: {
    trigger: { kind: 'text', required: true },
    lagThreshold: { kind: 'target' },
    activationLagThreshold: { kind: 'count' },
  },
  kafka: {
    bootstrapServers: { kind: 'text', required: true },
    consumerGroup: { kind: 'text', required: true },
    topic: { kind: 'text' },
    lagThreshold: { kind: 'target' },
    activationLagThreshold: { kind: 'count' },
    offsetResetPolicy: { kind: ['latest', 'earliest'] },
    allowIdleConsumers: { kind: ['true', 'false'] },
    scaleToZeroOnInvalidOffset: { kind: ['true', 'false'] },
    excludePersistentLag: { kind: ['true', 'false'] },
    limitToPartitionsWithLag: { kind: ['true', 'false'] },
    ensureEvenDistributionOfPartitions: { kind: ['true', 'false'] },
    partitionLimitation: { kind: 'text' },
    version: { kind: 'text' },
    sasl: { kind: ['none', 'plaintext', 'scram_sha256', 'scram_sha512'] },
    tls: { kind: ['enable', 'disable'] },
    unsafeSsl: { kind: ['true', 'false'] },
    username: { kind: 'text' },
    password: { kind: 'text' },
    ca: { kind: 'text' },
    cert: { kind: 'text' },
    key: { kind: 'text' },
    keyPassword: { kind: 'text' },
  },
  'azure-queue': {
    queueName: { kind: 'text', required: true },
    queueLength: { kind: 'target' },
    activationQueueLength: { kind: 'count' },
    queueLengthStrategy: { kind: ['all', 'visibleonly'] },
    connection: { kind: 'text' },
    accountName: { kind: 'text' },
    endpointSuffix: { kind: 'text' },
    cloud: { kind: 'text' },
  },
  'azure-servicebus': {
    queueName: { kind: 'text' },
    topicName: { kind: 'text' },
    subscriptionName: { kind: 'text' },
    namespace: { kind: 'text' },
    connection: { kind: 'text' },
    messageCount: { kind: 'target' },
    activationMessageCount: { kind: 'count' },
    useRegex: { kind: ['true', 'false'] },
    operation: { kind: ['sum', 'max', 'avg'] },
    cloud: { kind: 'text' },
    endpointSuffix: { kind: 'text' },
  },
  'azure-eventhub': {
    connection: { kind: 'text' },
    storageConnection: { kind: 'text' },
    eventHubName: { kind: 'text' },
    eventHubNamespace: { kind: 'text' },
    consumerGroup: { kind: 'text' },
    blobContainer: { kind: 'text' },
    storageAccountName: { kind: 'text' },
    checkpointStrategy: { kind: ['blobMetadata', 'azureFunction', 'goSdk', 'dapr'] },
    unprocessedEventThreshold: { kind: 'target' },
    activationUnprocessedEventThreshold: { kind: 'count' },
    stalePartitionInfoThreshold: { kind: 'count' },
    cloud: { kind: 'text' },
    endpointSuffix: { kind: 'text' },
    storageEndpointSuffix: { kind: 'text' },
    serviceBusEndpointSuffix: { kind: 'text' },
    activeDirectoryEndpoint: { kind: 'text' },
    eventHubResourceURL: { kind: 'text' },
  },
  rabbitmq: {
    queueName: { kind: 'text', required: true },
    host: { kind: 'text' },
    username: { kind: 'text' },
    password: { kind: 'text' },
    protocol: { kind: ['auto', 'amqp', 'http'] },
    vhostName: { kind: 'text' },
    mode: {
      kind: [
        'QueueLength',
        'MessageRate',
        'DeliverGetRate',
        'PublishedToDeliveredRatio',
        'ExpectedQueueConsumptionTime',
      ],
    },
    value: { kind: 'target' },
    activationValue: { kind: 'count' },
    queueLength: { kind: 'target' },
    excludeUnacknowledged: { kind: ['true', 'false'] },
    useRegex: { kind: ['true', 'false'] },
    operation: { kind: ['sum', 'avg', 'max'] },
    pageSize: { kind: 'target' },
    timeout: { kind: 'count' },
    unsafeSsl: { kind: ['true', 'false'] },
  },
}

/** KEDA scalers whose names are near to a served one: no misspelling. */
const NEIGHBOURS: readonly string[] = ['azure-blob', 'azure-pipelines', 'azure-monitor']

/** Reads a scaler's name; one that is not served is a notice, one that looks misspelt a mistake. */
export function readScalerType(value: Value | undefined): string {
  const type = value?.word()
  if (value === undefined || type === undefined) return ''
  if (Object.hasOwn(SCALERS, type)) return type
  const near = NEIGHBOURS.includes(type) ? undefined : suggest(type, Object.keys(SCALERS))
  if (near !== undefined) value.mistake(`unknown scaler \`${type}\`, did you mean \`${near}\`?`)
  else value.notice(`the scaler \`${type}\` is not served yet: this trigger is left out`)
  return type
}

/** Reads the parameters of a served scaler. */
export function readScalerMetadata(
  type: string,
  trigger: Value,
  value: Value | undefined,
): Readonly<Record<string, string>> {
  const parameters = SCALERS[type] ?? {}
  const names = Object.keys(parameters)
  const metadata =
    value?.textMap((name, text) => {
      const parameter = parameterOf(parameters, name)
      if (parameter === undefined) return `the scaler \`${type}\` has no \`${name}\`${didYouMean(name, names)}`
      if (!fits(parameter, name, text)) return `\`${name}\` must be ${wanted(parameter)}, not ${JSON.stringify(text)}`
      return undefined
    }) ?? {}
  for (const name of names)
    if (parameters[name]?.required && !metadata[name] && !metadata[`${name}FromEnv`])
      trigger.mistake(`missing \`${name}\` in the metadata of the scaler \`${type}\``)
  return metadata
}

/** Every parameter has a twin that names a variable of the target's environment. */
function parameterOf(parameters: Readonly<Record<string, Parameter>>, name: string): Parameter | undefined {
  const own = name.replace(/FromEnv$/, '')
  return Object.hasOwn(parameters, own) ? parameters[own] : undefined
}

function fits(parameter: Parameter, name: string, text: string): boolean {
  if (name.endsWith('FromEnv') || parameter.kind === 'text') return true
  if (parameter.kind === 'count') return /^\d{1,10}$/.test(text)
  if (parameter.kind === 'target') return /^\d{1,10}$/.test(text) && Number(text) > 0
  return parameter.kind.includes(text)
}

function wanted(parameter: Parameter): string {
  if (parameter.kind === 'target') return 'a whole number above 0'
  if (parameter.kind === 'text' || parameter.kind === 'count') return 'a whole number'
  return `one of ${parameter.kind.join(', ')}`
}
