import { createHash } from 'node:crypto'
import { brokerId } from '../contract/ids.ts'

/** Something that sends in its own name. */
export interface Identified {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly namespace: string; readonly name: string }
}

/** Whom a token for a Broker must be made for (Knative's OIDC: `<group>/<kind>/<namespace>/<name>`, in lower case). */
export function brokerAudience(namespace: string, name: string): string {
  return `eventing.knative.dev/broker/${brokerId(namespace, name)}`.toLowerCase()
}

/** The ServiceAccount that a Trigger or a source sends as, with Knative's own name for it. */
export function serviceAccountName({ apiVersion, kind, metadata }: Identified): string {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  return childName(metadata.name, `-oidc-${group}-${kind}`).toLowerCase()
}

/** The `sub` of its tokens. */
export function subjectOf(one: Identified): string {
  return serviceAccountSubject(one.metadata.namespace, serviceAccountName(one))
}

export function serviceAccountSubject(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`
}

const LONGEST = 63
const HASH = 32
const HEAD = LONGEST - HASH

/** `parent` + `suffix`, hashed and cut as Knative does (`kmeta.ChildName`) where that is too long for a name. */
function childName(parent: string, suffix: string): string {
  if (parent.length <= LONGEST - suffix.length) return parent + suffix
  const kept = HEAD - suffix.length
  if (kept > 0) return `${parent.slice(0, kept)}${md5(parent)}${suffix}`
  const whole = `${parent.slice(0, HEAD)}${md5(parent + suffix)}`
  return `${whole}${suffix.slice(0, LONGEST - whole.length)}`.replace(/[^a-zA-Z0-9]+$/, '')
}

/** For a short name, not for secrecy. */
function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
