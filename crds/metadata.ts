import { annotationMistakes } from './annotations.ts'
import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { Metadata } from './resource.ts'

/** What every object may have at its top, beside what its kind adds. */
export const TOP = ['apiVersion', 'kind', 'metadata'] as const

/** The top of a kind that has a `spec`: names of the spec that stand beside it are pointed back into it. */
export function topOf<const Name extends string>(spec: Shape<Name>): Shape<(typeof TOP)[number] | 'spec'> {
  const hints = spec.known.map(name => [name, 'indent it under `spec`'])
  return { known: [...TOP, 'spec'], silent: ['status'], hints: Object.fromEntries(hints) }
}

const METADATA: Shape<'name' | 'namespace' | 'labels' | 'annotations' | 'uid' | 'generation'> = {
  known: ['name', 'namespace', 'labels', 'annotations', 'uid', 'generation'],
  silent: [
    'creationTimestamp',
    'deletionGracePeriodSeconds',
    'deletionTimestamp',
    'finalizers',
    'generateName',
    'managedFields',
    'ownerReferences',
    'resourceVersion',
    'selfLink',
  ],
  hints: { app: 'labels stand under `metadata.labels`', spec: '`spec` stands beside `metadata`, not in it' },
  lenient: true,
}

/** Reads `metadata` and checks the names in it, and the annotations that Weir acts on. */
export function readMetadata(top: Fields<'metadata'>, kind: string): Metadata {
  const fields = top.requiredSection('metadata', METADATA)
  const annotations = readAnnotations(fields.get('annotations'), kind)
  return {
    name: readName(fields.required('name'), kind === 'Service' ? LABEL : SUBDOMAIN) ?? '',
    namespace: readName(fields.get('namespace'), LABEL) ?? 'default',
    labels: readLabels(fields.get('labels')),
    annotations,
    ...present({ uid: fields.get('uid')?.text(), generation: fields.get('generation')?.integer(0, 2 ** 53) }),
  }
}

interface NameRule {
  readonly pattern: RegExp
  readonly longest: number
  readonly words: string
}

const LABEL: NameRule = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  longest: 63,
  words: 'lower-case letters, digits and `-`, at most 63 of them, beginning and ending with a letter or digit',
}

const SUBDOMAIN: NameRule = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  longest: 253,
  words: 'lower-case letters, digits, `-` and `.`, at most 253 of them, beginning and ending with a letter or digit',
}

function readName(value: Value | undefined, rule: NameRule): string | undefined {
  const name = value?.word()
  if (value === undefined || name === undefined) return undefined
  if (name.length <= rule.longest && rule.pattern.test(name)) return name
  return value.mistake(`\`${value.path}\` must be ${rule.words}, not \`${short(name)}\``)
}

const QUALIFIED = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/

function qualifiedMistake(what: string, name: string): string | undefined {
  const last = name.slice(name.indexOf('/') + 1)
  if (name.length <= 317 && last.length <= 63 && QUALIFIED.test(name)) return undefined
  return `\`${short(name)}\` is no ${what} name: [domain/]name of letters, digits, \`-\`, \`_\` and \`.\``
}

/** Labels as Kubernetes takes them. */
export function readLabels(value: Value | undefined): Readonly<Record<string, string>> {
  return (
    value?.textMap((name, text) => {
      if (text.length > 63 || !LABEL_VALUE.test(text))
        return `label \`${short(name)}\` must be at most 63 letters, digits, \`-\`, \`_\` and \`.\`, not "${short(text)}"`
      return qualifiedMistake('label', name)
    }) ?? {}
  )
}

/** Annotations, those of Weir checked against what `kind` can have. */
export function readAnnotations(value: Value | undefined, kind: string): Readonly<Record<string, string>> {
  if (value === undefined) return {}
  const annotations = value.textMap(name => qualifiedMistake('annotation', name))
  const entries = new Map(value.isMap() ? value.entries().map(entry => [entry.name, entry]) : [])
  for (const { name, message, severity } of annotationMistakes(kind, annotations))
    entries.get(name)?.value[severity](message)
  return annotations
}
