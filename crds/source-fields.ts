import { type DeliverySpec, readDelivery } from './delivery.ts'
import { readDestination } from './destination.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { Destination } from './resource.ts'

/** A key of a Secret in the source's namespace. */
export interface SecretKeyRef {
  readonly name: string
  readonly key: string
  /** Where it is missing, the source does without. */
  readonly optional?: boolean
}

/** What the spec of every source has. */
export interface SourceFields {
  readonly sink: Destination
  /** What happens to an event that the sink does not take. Absent: it is offered until the sink takes it. */
  readonly delivery?: DeliverySpec
  /** `ceOverrides.extensions`: attributes added to every event. */
  readonly extensions: Readonly<Record<string, string>>
}

/** The names that `readSourceFields` reads, for the kind's own list of fields. */
export const SOURCE_FIELDS = ['sink', 'delivery', 'ceOverrides'] as const

/** What people write in the wrong place of a source. */
export const SOURCE_HINTS: Readonly<Record<string, string>> = {
  subscriber: 'did you mean `sink`?',
  extensions: 'indent it under `ceOverrides`',
  deadLetterSink: 'indent it under `delivery`',
}

/** Reads what every source has; `namespace` is the source's own. */
export function readSourceFields(spec: Fields<(typeof SOURCE_FIELDS)[number]>, namespace: string): SourceFields {
  const sink = spec.required('sink')
  const delivery = spec.get('delivery')
  return {
    sink: sink ? readDestination(sink, namespace) : {},
    ...present({ delivery: delivery && readDelivery(delivery, namespace) }),
    extensions: readExtensions(spec),
  }
}

const FROM_SECRET: Shape<'secretKeyRef'> = {
  known: ['secretKeyRef'],
  hints: { name: 'indent it under `secretKeyRef`', key: 'indent it under `secretKeyRef`' },
}
const KEY: Shape<'name' | 'key' | 'optional'> = { known: ['name', 'key', 'optional'] }

/** Reads `{secretKeyRef: {name, key}}`. A value that stands there in the open is a mistake. */
export function readFromSecret(value: Value): { readonly secretKeyRef: SecretKeyRef } {
  if (!value.isMap()) {
    value.mistake(
      `\`${value.path}\` must not stand here in the open: put it in a Secret and name it by \`secretKeyRef\``,
    )
    return { secretKeyRef: { name: '', key: '' } }
  }
  const ref = value.fields(FROM_SECRET).requiredSection('secretKeyRef', KEY)
  return {
    secretKeyRef: {
      name: ref.required('name')?.word() ?? '',
      key: ref.required('key')?.word() ?? '',
      ...(ref.get('optional')?.boolean() === true && { optional: true }),
    },
  }
}

const CORE_ATTRIBUTES = [
  'id',
  'source',
  'specversion',
  'type',
  'data',
  'datacontenttype',
  'dataschema',
  'subject',
  'time',
]

/** Reads `ceOverrides`. */
export function readExtensions(spec: Fields<'ceOverrides'>): Readonly<Record<string, string>> {
  const extensions = spec.section('ceOverrides', { known: ['extensions'] }).get('extensions')
  return (
    extensions?.textMap((name, text) => {
      // Every event would be refused by the Broker, and every message would end as poison.
      if (/\p{Cc}/u.test(text)) return `\`${short(name)}\` has a line break or another control character in its value`
      if (!/^[a-z0-9]+$/.test(name))
        return `\`${short(name)}\` is no attribute name: lower-case letters and digits only`
      return CORE_ATTRIBUTES.includes(name) ? `\`${name}\` is set by the source and cannot be overridden` : undefined
    }) ?? {}
  )
}
