import { type AzureStorageQueueSourceResource, readAuth, readQueue } from './azure-storage-queue-source.ts'
import { readMetadata, topOf } from './metadata.ts'
import type { Shape, Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import { inAuth, type SecretRefs } from './sources.ts'

type Source = AzureStorageQueueSourceResource['spec']

/** AzureStorageQueueSink, eventing.weir.dev/v1alpha1: events become messages of an Azure Storage queue. */
export interface AzureStorageQueueSinkResource
  extends ResourceOf<'AzureStorageQueueSink', 'eventing.weir.dev/v1alpha1'> {
  readonly spec: Pick<Source, 'queueUrl' | 'accountName' | 'queueName' | 'endpointSuffix' | 'auth'> & {
    /** How the text of a message is written: `base64`, as Azure Functions and the portal read it. */
    readonly encoding: 'base64' | 'text'
    /** What is written: the whole event in JSON, or its data alone. */
    readonly payload: 'cloudevents' | 'raw'
  }
}

const FIELDS = ['queueUrl', 'accountName', 'queueName', 'endpointSuffix', 'auth', 'encoding', 'payload'] as const
const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    connectionString: 'indent it under `auth`',
    accountKey: 'indent it under `auth`',
    sasToken: 'indent it under `auth`',
    workloadIdentity: 'indent it under `auth`',
    contentMode: 'a queue has no headers: `payload: cloudevents` writes the whole event, `payload: raw` its data',
  },
}

/** Reads an AzureStorageQueueSink; what is wrong with it is told to the sheet of `value`. */
export function parseAzureStorageQueueSink(value: Value): AzureStorageQueueSinkResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'AzureStorageQueueSink')
  const spec = top.requiredSection('spec', SPEC)
  const queue = readQueue(spec)
  return {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'AzureStorageQueueSink',
    metadata,
    where: value.where,
    spec: {
      ...queue,
      endpointSuffix: spec.get('endpointSuffix')?.word() ?? 'core.windows.net',
      auth: readAuth(spec, queue),
      encoding: spec.get('encoding')?.oneOf(['base64', 'text']) ?? 'base64',
      payload: spec.get('payload')?.oneOf(['cloudevents', 'raw']) ?? 'cloudevents',
    },
  }
}

/** The keys of Secrets that a sink needs. */
export function azureStorageQueueSinkSecrets({ spec }: AzureStorageQueueSinkResource): SecretRefs {
  return inAuth(spec.auth)
}
