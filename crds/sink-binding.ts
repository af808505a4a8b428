import { readDestination } from './destination.ts'
import { type LabelSelector, readSelector } from './label-selector.ts'
import { readMetadata, topOf } from './metadata.ts'
import { present, type Shape, short, type Value } from './reader.ts'
import type { Destination, ResourceOf } from './resource.ts'
import { readExtensions } from './source-fields.ts'

/** SinkBinding, sources.knative.dev/v1: workloads that are told where to send their events. */
export interface SinkBindingResource extends ResourceOf<'SinkBinding', 'sources.knative.dev/v1'> {
  readonly spec: BindingFields & { readonly subject: Subject }
}

/** What every binding has. */
export interface BindingFields {
  readonly sink: Destination
  /** `ceOverrides.extensions`: what the workload is asked to add to every event. */
  readonly extensions: Readonly<Record<string, string>>
}

/** The workloads that are bound, of the binding's own namespace: one by its name, or all whose labels fit. */
export interface Subject {
  readonly apiVersion: string
  readonly kind: string
  readonly name?: string
  readonly selector?: LabelSelector
}

const SPEC: Shape<'subject' | 'sink' | 'ceOverrides'> = {
  known: ['subject', 'sink', 'ceOverrides'],
  hints: {
    delivery: 'the workload itself sends, so that retries are its own: send to a Broker, and its Triggers have them',
    template: 'a ContainerSource has one; a SinkBinding names its workload as `subject`',
    extensions: 'indent it under `ceOverrides`',
    selector: 'indent it under `subject`',
  },
}
const SUBJECT: Shape<'apiVersion' | 'kind' | 'namespace' | 'name' | 'selector'> = {
  known: ['apiVersion', 'kind', 'namespace', 'name', 'selector'],
  hints: { matchLabels: 'indent it under `selector`', ref: 'its fields stand in `subject` itself' },
}
const SELECTOR: Shape<'matchLabels' | 'matchExpressions'> = { known: ['matchLabels', 'matchExpressions'] }

/** Reads a SinkBinding; what is wrong with it is told to the sheet of `value`. */
export function parseSinkBinding(value: Value): SinkBindingResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'SinkBinding')
  const spec = top.requiredSection('spec', SPEC)
  const sink = spec.required('sink')
  const subject = spec.required('subject')
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'SinkBinding',
    metadata,
    where: value.where,
    spec: {
      subject: subject ? readSubject(subject, metadata.namespace) : { apiVersion: '', kind: '' },
      sink: sink ? readDestination(sink, metadata.namespace) : {},
      extensions: readExtensions(spec),
    },
  }
}

function readSubject(value: Value, namespace: string): Subject {
  const fields = value.fields(SUBJECT)
  const name = fields.get('name')
  const selector = fields.get('selector')
  const given = fields.get('namespace')
  const wanted = given?.word()
  if (wanted !== undefined && wanted !== namespace)
    given?.mistake(`\`${given.path}\` must be the binding's own namespace, ${namespace}, not \`${short(wanted)}\``)
  if (name !== undefined && selector !== undefined)
    selector.mistake('expected exactly one of `spec.subject.name` and `spec.subject.selector`, got both')
  if (name === undefined && selector === undefined) fields.miss('`spec.subject` needs `name` or `selector`')
  const inner = selector?.fields(SELECTOR)
  return {
    apiVersion: fields.required('apiVersion')?.word() ?? '',
    kind: fields.required('kind')?.word() ?? '',
    ...present({
      name: name?.word(),
      selector: inner && readSelector(inner.get('matchLabels'), inner.items('matchExpressions')),
    }),
  }
}
