import { type AzureEventHubsSourceResource, readAuth, readHubNames } from './azure-event-hubs-source.ts'
import { readMetadata, topOf } from './metadata.ts'
import type { Shape, Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import { inAuth, type SecretRefs } from './sources.ts'

/** AzureEventHubsSink, eventing.weir.dev/v1alpha1: events go into a hub of Azure Event Hubs. */
export interface AzureEventHubsSinkResource extends ResourceOf<'AzureEventHubsSink', 'eventing.weir.dev/v1alpha1'> {
  readonly spec: {
    readonly namespace?: string
    readonly eventHubName?: string
    readonly auth: AzureEventHubsSourceResource['spec']['auth']
    readonly contentMode: 'binary' | 'structured'
  }
}

const FIELDS = ['namespace', 'eventHubName', 'auth', 'contentMode'] as const
const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    connectionString: 'indent it under `auth`',
    sasToken: 'indent it under `auth`',
    workloadIdentity: 'indent it under `auth`',
    hubName: 'did you mean `eventHubName`?',
    eventHub: 'did you mean `eventHubName`?',
    partitionKey: 'events that have the attribute `partitionkey` are sent by it',
  },
}

/** Reads an AzureEventHubsSink; what is wrong with it is told to the sheet of `value`. */
export function parseAzureEventHubsSink(value: Value): AzureEventHubsSinkResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'AzureEventHubsSink')
  const spec = top.requiredSection('spec', SPEC)
  const auth = readAuth(spec)
  return {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'AzureEventHubsSink',
    metadata,
    where: value.where,
    spec: {
      ...readHubNames(spec, auth),
      auth,
      contentMode: spec.get('contentMode')?.oneOf(['binary', 'structured']) ?? 'binary',
    },
  }
}

/** The keys of Secrets that a sink needs. */
export function azureEventHubsSinkSecrets({ spec }: AzureEventHubsSinkResource): SecretRefs {
  return inAuth(spec.auth)
}
