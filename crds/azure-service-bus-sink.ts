import { PLACE_FIELDS, PLACE_HINTS, readPlace, type ServiceBusPlace } from './azure-service-bus-source.ts'
import { readMetadata, topOf } from './metadata.ts'
import { present, type Shape, type Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import { inAuth, type SecretRefs } from './sources.ts'

/** AzureServiceBusSink, eventing.weir.dev/v1alpha1: events become messages of a queue or topic of Azure Service Bus. */
export interface AzureServiceBusSinkResource extends ResourceOf<'AzureServiceBusSink', 'eventing.weir.dev/v1alpha1'> {
  readonly spec: ServiceBusPlace & {
    readonly contentMode: 'binary' | 'structured'
    /** The attribute that names the session. An event without it is refused. Undefined: messages belong to no session. */
    readonly sessionIdFrom?: string
  }
}

const FIELDS = [...PLACE_FIELDS, 'contentMode', 'sessionIdFrom'] as const
const SPEC: Shape<(typeof FIELDS)[number]> = {
  known: FIELDS,
  hints: {
    ...PLACE_HINTS,
    sessionId: 'name the attribute that holds it as `sessionIdFrom`',
    subscriptionName: 'messages are sent to the topic: leave it out',
  },
}

/** Reads an AzureServiceBusSink; what is wrong with it is told to the sheet of `value`. */
export function parseAzureServiceBusSink(value: Value): AzureServiceBusSinkResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'AzureServiceBusSink')
  const spec = top.requiredSection('spec', SPEC)
  return {
    apiVersion: 'eventing.weir.dev/v1alpha1',
    kind: 'AzureServiceBusSink',
    metadata,
    where: value.where,
    spec: {
      ...readPlace(spec),
      contentMode: spec.get('contentMode')?.oneOf(['binary', 'structured']) ?? 'binary',
      ...present({ sessionIdFrom: readAttribute(spec.get('sessionIdFrom')) }),
    },
  }
}

/** The keys of Secrets that a sink needs. */
export function azureServiceBusSinkSecrets({ spec }: AzureServiceBusSinkResource): SecretRefs {
  return inAuth(spec.auth)
}

function readAttribute(value: Value | undefined): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined || /^[a-z0-9]+$/.test(name)) return name
  return value.mistake(`\`${value.path}\` must be the name of an attribute: lower-case letters and digits only`)
}
