import { type DeliverySpec, readDelivery } from './delivery.ts'
import { readDestination, readReference } from './destination.ts'
import { type FilterSpec, readAttributes, readFilter } from './filters.ts'
import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, type Value } from './reader.ts'
import type { Destination, Metadata, ResourceOf } from './resource.ts'

export type { FilterSpec } from './filters.ts'

/** Trigger, eventing.knative.dev/v1. */
export interface TriggerResource extends ResourceOf<'Trigger', 'eventing.knative.dev/v1'> {
  readonly spec: {
    /** Name of a Broker in the same namespace; taken from `broker` or `brokerRef`. */
    readonly broker: string
    /** The older filter; counts only where `filters` is empty. */
    readonly filter?: { readonly attributes: Readonly<Record<string, string>> }
    readonly filters: readonly FilterSpec[]
    readonly subscriber: Destination
    readonly delivery?: DeliverySpec
  }
}

const SPEC: Shape<'broker' | 'brokerRef' | 'filter' | 'filters' | 'subscriber' | 'delivery'> = {
  known: ['broker', 'brokerRef', 'filter', 'filters', 'subscriber', 'delivery'],
  hints: {
    deadLetterSink: 'indent it under `delivery`',
    retry: 'indent it under `delivery`',
    ref: 'indent it under `subscriber`',
    uri: 'indent it under `subscriber`',
    sink: 'did you mean `subscriber`?',
  },
}

const ATTRIBUTES = 'attributes stand under `spec.filter.attributes`'
const FILTER: Shape<'attributes'> = {
  known: ['attributes'],
  hints: {
    type: ATTRIBUTES,
    source: ATTRIBUTES,
    subject: ATTRIBUTES,
    exact: 'dialects stand in the list `spec.filters`',
    prefix: 'dialects stand in the list `spec.filters`',
    suffix: 'dialects stand in the list `spec.filters`',
    cesql: 'dialects stand in the list `spec.filters`',
  },
}

/** Reads a Trigger; what is wrong with it is told to the sheet of `value`. */
export function parseTrigger(value: Value): TriggerResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'Trigger')
  checkDependency(value, metadata)
  const spec = top.requiredSection('spec', SPEC)
  const attributes = spec.section('filter', FILTER).get('attributes')
  const subscriber = spec.required('subscriber')
  const delivery = spec.get('delivery')
  return {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata,
    where: value.where,
    spec: {
      broker: readBroker(spec, metadata.namespace),
      filters: spec.items('filters').flatMap(item => readFilter(item) ?? []),
      subscriber: subscriber ? readDestination(subscriber, metadata.namespace) : {},
      ...present({
        filter: attributes && { attributes: readAttributes(attributes) },
        delivery: delivery && readDelivery(delivery, metadata.namespace),
      }),
    },
  }
}

function readBroker(spec: Fields<'broker' | 'brokerRef'>, namespace: string): string {
  const ref = spec.get('brokerRef')
  if (ref === undefined) return spec.required('broker')?.word() ?? ''
  if (spec.get('broker') !== undefined)
    ref.mistake('expected exactly one of `spec.broker` and `spec.brokerRef`, got both')
  const broker = readReference(ref, namespace)
  if (broker.kind !== '' && broker.kind !== 'Broker')
    ref.mistake(`\`spec.brokerRef.kind\` must be \`Broker\`, not \`${broker.kind}\``)
  if (broker.namespace !== namespace)
    ref.mistake(
      `\`spec.brokerRef.namespace\` must be the Trigger's own, \`${namespace}\`: links across are not supported`,
    )
  return broker.name
}

const DEPENDENCY = 'knative.dev/dependency'
const INJECTION = 'eventing.knative.dev/injection'

function checkDependency(value: Value, metadata: Metadata): void {
  const dependency = metadata.annotations[DEPENDENCY]
  if (dependency !== undefined) {
    if (isReferenceJson(dependency)) value.notice(`the annotation ${DEPENDENCY} does nothing here`)
    else value.mistake(`the annotation ${DEPENDENCY} must be a JSON object with kind, name and apiVersion`)
  }
  if (metadata.annotations[INJECTION] !== undefined) value.notice(`the annotation ${INJECTION} does nothing here`)
}

function isReferenceJson(text: string): boolean {
  try {
    const read = new Map<string, unknown>(Object.entries(JSON.parse(text) ?? {}))
    return ['kind', 'name', 'apiVersion'].every(name => typeof read.get(name) === 'string')
  } catch {
    return false
  }
}
