import { readReference } from './destination.ts'
import { type FilterSpec, readFilter } from './filters.ts'
import { type LabelSelector, readSelector, selects } from './label-selector.ts'
import { readMetadata, topOf } from './metadata.ts'
import { type Fields, type Shape, short, type Value } from './reader.ts'
import type { Reference, ResourceOf } from './resource.ts'
import { didYouMean } from './suggest.ts'

/** EventPolicy, eventing.knative.dev/v1alpha1: who may send to what. */
export interface EventPolicyResource extends ResourceOf<'EventPolicy', 'eventing.knative.dev/v1alpha1'> {
  readonly spec: {
    /** What is protected, in the policy's own namespace. Empty: everything there. */
    readonly to: readonly PolicyTarget[]
    /** Who may send. Empty: nobody. */
    readonly from: readonly PolicySender[]
    /** All must pass. Empty: every event passes. */
    readonly filters: readonly FilterSpec[]
  }
}

export type PolicyTarget =
  | { readonly ref: { readonly apiVersion: string; readonly kind: string; readonly name: string } }
  | { readonly selector: LabelSelector & { readonly apiVersion: string; readonly kind: string } }

export type PolicySender =
  /** Something with an identity of its own: a source, a Trigger. */
  | { readonly ref: Reference }
  /** The subject of a token; a `*` at the end stands for anything. */
  | { readonly sub: string }

const SPEC: Shape<'to' | 'from' | 'filters'> = {
  known: ['to', 'from', 'filters'],
  hints: {
    ref: 'it stands in the list `spec.to` or `spec.from`',
    sub: 'it stands in the list `spec.from`',
    selector: 'it stands in the list `spec.to`',
    filter: 'did you mean the list `spec.filters`?',
    broker: 'name it in `spec.to`, as `- ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: …}`',
  },
}

const TO: Shape<'ref' | 'selector'> = {
  known: ['ref', 'selector'],
  hints: {
    apiVersion: 'indent it under `ref` or `selector`',
    kind: 'indent it under `ref` or `selector`',
    name: 'indent it under `ref`',
    matchLabels: 'indent it under `selector`',
    matchExpressions: 'indent it under `selector`',
  },
}

const TO_REF: Shape<'apiVersion' | 'kind' | 'name'> = {
  known: ['apiVersion', 'kind', 'name'],
  hints: { namespace: 'a policy protects what is in its own namespace' },
}

const TO_SELECTOR: Shape<'apiVersion' | 'kind' | 'matchLabels' | 'matchExpressions'> = {
  known: ['apiVersion', 'kind', 'matchLabels', 'matchExpressions'],
  hints: { name: 'a single object is named by `ref`' },
}

const FROM: Shape<'ref' | 'sub'> = {
  known: ['ref', 'sub'],
  hints: {
    apiVersion: 'indent it under `ref`',
    kind: 'indent it under `ref`',
    name: 'indent it under `ref`',
    namespace: 'indent it under `ref`',
    subject: 'did you mean `sub`?',
    selector: 'senders are named by `ref` or `sub`',
  },
}

const BROKER = { kind: 'Broker', apiVersion: 'eventing.knative.dev/v1' } as const

/** Reads an EventPolicy; what is wrong with it is told to the sheet of `value`. */
export function parseEventPolicy(value: Value): EventPolicyResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'EventPolicy')
  const spec = top.section('spec', SPEC)
  const from = spec.items('from').flatMap(item => readSender(item, metadata.namespace) ?? [])
  if (from.length === 0 && spec.items('from').length === 0)
    value.notice('`spec.from` names nobody: this policy lets nobody send')
  return {
    apiVersion: 'eventing.knative.dev/v1alpha1',
    kind: 'EventPolicy',
    metadata,
    where: value.where,
    spec: {
      to: spec.items('to').flatMap(item => readTarget(item) ?? []),
      from,
      filters: spec.items('filters').flatMap(item => readFilter(item) ?? []),
    },
  }
}

function readTarget(value: Value): PolicyTarget | undefined {
  const fields = value.fields(TO)
  const [ref, selector] = exactlyOne(fields, 'ref', 'selector')
  if (ref !== undefined) {
    const inner = ref.fields(TO_REF)
    return { ref: { ...readType(inner), name: inner.required('name')?.word() ?? '' } }
  }
  if (selector === undefined) return undefined
  const inner = selector.fields(TO_SELECTOR)
  const labels = readSelector(inner.get('matchLabels'), inner.items('matchExpressions'))
  return { selector: { ...readType(inner), ...labels } }
}

function readSender(value: Value, namespace: string): PolicySender | undefined {
  const [ref, sub] = exactlyOne(value.fields(FROM), 'ref', 'sub')
  if (ref !== undefined) return { ref: readReference(ref, namespace) }
  const text = sub?.word()
  if (sub === undefined || text === undefined) return undefined
  const star = text.indexOf('*')
  if (star >= 0 && star < text.length - 1)
    return sub.mistake(`\`${sub.path}\` may have a \`*\` only as its last character, not "${short(text)}"`)
  return { sub: text }
}

/** The values of the two names, of which one must be there. */
function exactlyOne<Name extends string>(
  fields: Fields<Name>,
  first: Name,
  second: Name,
): readonly [Value | undefined, Value | undefined] {
  const [a, b] = [fields.get(first), fields.get(second)]
  const { path } = fields.owner
  if (a !== undefined && b !== undefined)
    fields.owner.mistake(`expected exactly one of \`${path}.${first}\` and \`${path}.${second}\`, got both`)
  if (a === undefined && b === undefined && !fields.misspelt)
    fields.miss(`\`${path}\` needs \`${first}\` or \`${second}\``)
  return [a, a === undefined ? b : undefined]
}

/** What is protected. Only Brokers are protected here; a policy for something else is left to whoever serves that. */
function readType(fields: Fields<'apiVersion' | 'kind'>): { readonly apiVersion: string; readonly kind: string } {
  const version = fields.required('apiVersion')
  const kind = fields.required('kind')
  const found = { apiVersion: version?.word() ?? '', kind: kind?.word() ?? '' }
  if (found.kind === '' || found.apiVersion === '') return found
  const near = didYouMean(found.kind, [BROKER.kind])
  if (near !== '' && found.kind !== BROKER.kind) kind?.mistake(`unknown kind \`${short(found.kind)}\`${near}`)
  else if (found.kind !== BROKER.kind)
    kind?.notice(`a ${short(found.kind)} is not protected here: Weir enforces policies for Brokers`)
  else if (found.apiVersion !== BROKER.apiVersion)
    version?.mistake(`the apiVersion of Broker is \`${BROKER.apiVersion}\`, not \`${short(found.apiVersion)}\``)
  return found
}

/** Whether `policy` protects `broker`. Pure. */
export function protects(
  policy: EventPolicyResource,
  broker: { readonly metadata: EventPolicyResource['metadata'] },
): boolean {
  if (policy.metadata.namespace !== broker.metadata.namespace) return false
  if (policy.spec.to.length === 0) return true
  return policy.spec.to.some(target =>
    'ref' in target
      ? target.ref.kind === BROKER.kind && target.ref.name === broker.metadata.name
      : target.selector.kind === BROKER.kind && selects(target.selector, broker.metadata.labels),
  )
}
