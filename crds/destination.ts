import { type Fields, present, type Shape, short, type Value } from './reader.ts'
import type { Destination, Reference } from './resource.ts'

const REFERENCE: Shape<'apiVersion' | 'kind' | 'name' | 'namespace'> = {
  known: ['apiVersion', 'kind', 'name', 'namespace'],
  idle: ['address'],
  hints: { group: 'Knative takes it only with a feature that is off by default, write `apiVersion`' },
}

const DESTINATION: Shape<'ref' | 'uri' | 'CACerts' | 'audience'> = {
  known: ['ref', 'uri', 'CACerts', 'audience'],
  hints: {
    apiVersion: 'indent it under `ref`',
    kind: 'indent it under `ref`',
    name: 'indent it under `ref`',
    namespace: 'indent it under `ref`',
    service: 'write `ref: {apiVersion: v1, kind: Service, name: …}`',
  },
}

/** Reads a KReference; `namespace` is the object's own where the YAML has none. */
export function readReference(value: Value, namespace: string): Reference {
  const fields = value.fields(REFERENCE)
  return {
    apiVersion: fields.required('apiVersion')?.word() ?? '',
    kind: fields.required('kind')?.word() ?? '',
    name: fields.required('name')?.word() ?? '',
    namespace: fields.get('namespace')?.word() ?? namespace,
  }
}

/** Reads a Destination by the rules of Knative's duck type (§ Destination.Validate). */
export function readDestination(value: Value, namespace: string): Destination {
  const fields = value.fields(DESTINATION)
  const ref = fields.get('ref')
  const uri = fields.get('uri')
  if (ref === undefined && uri === undefined && value.isMap())
    value.mistake(`\`${value.path}\` needs \`ref\` or \`uri\``)
  return present({
    ref: ref && readReference(ref, namespace),
    uri: uri && readUri(uri, ref !== undefined),
    CACerts: readCertificates(fields),
    audience: fields.get('audience')?.text(),
  })
}

const ABSOLUTE = /^[A-Za-z][A-Za-z0-9+.-]*:/
const WITH_HOST = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]+/

function readUri(value: Value, besideRef: boolean): string | undefined {
  const uri = value.word()
  if (uri === undefined) return undefined
  const wrong = uriMistake(uri, besideRef)
  return wrong === undefined ? uri : value.mistake(`\`${value.path}\` ${wrong}`)
}

/** Any scheme may stand: what cannot be called, as `bad://uri`, fails when it is called. */
function uriMistake(uri: string, besideRef: boolean): string | undefined {
  if (/[\s\p{Cc}]/u.test(uri)) return `must not hold spaces or control characters: "${short(uri)}"`
  if (besideRef) return ABSOLUTE.test(uri) ? 'must be relative beside `ref`, as in "/path"' : undefined
  if (!WITH_HOST.test(uri)) return `must be absolute, as in "http://host/path", not "${short(uri)}"`
  if (/^https?:/i.test(uri) && !URL.canParse(uri)) return `is no URL: "${short(uri)}"`
  return undefined
}

function readCertificates(fields: Fields<'CACerts'>): string | undefined {
  const value = fields.get('CACerts')
  const text = value?.text()
  if (value === undefined || text === undefined || text.trim() === '') return undefined
  if (/-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(text)) return text
  return value.mistake(`\`${value.path}\` must be certificates in PEM, beginning with -----BEGIN CERTIFICATE-----`)
}
