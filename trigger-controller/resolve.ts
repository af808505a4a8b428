import { type BrokerId, brokerId, type WorkloadId, workloadId } from '../contract/ids.ts'
import type { Target, Trust } from '../contract/routes.ts'
import type { Features } from '../crds/features.ts'
import type { Destination, Reference } from '../crds/resource.ts'
import { isSinkReference } from '../crds/sinks.ts'
import type { DeploymentResource, ServiceResource } from '../crds/workloads.ts'
import { brokerAudience } from './identity.ts'

/** What a Destination may refer to. */
export interface Addresses {
  readonly services: readonly ServiceResource[]
  readonly deployments: readonly DeploymentResource[]
  readonly brokerAddress: (id: BrokerId) => string | undefined
  /** Of the sinks that are served. */
  readonly sinkAddress: (id: WorkloadId) => string | undefined
  /** With OIDC on, Brokers have an audience. */
  readonly features: Pick<Features, 'oidc'>
}

export type Resolved =
  | { readonly kind: 'resolved'; readonly target: Target }
  /** In words a person can act on; the same destination may resolve once something else changes. */
  | { readonly kind: 'unresolved'; readonly reason: string }

const CLUSTER_DOMAIN = 'cluster.local'
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]+/i

/** A Destination's address (Knative Eventing spec, destination resolution). Pure. */
export function resolve(destination: Destination, addresses: Addresses): Resolved {
  const { ref, uri } = destination
  if (ref === undefined) {
    if (uri === undefined) return unresolved('names neither a ref nor a uri')
    // `bad://uri` is a legal destination: it resolves, and each attempt to call it fails.
    return ABSOLUTE.test(uri) && URL.canParse(uri)
      ? { kind: 'resolved', target: { kind: 'url', address: uri, ...trustOf(destination) } }
      : unresolved(`uri ${quote(uri)} is not absolute: write scheme and host, as in http://host/path`)
  }
  if (uri !== undefined && (ABSOLUTE.test(uri) || /^[\\/]{2}/.test(uri))) {
    return unresolved(`uri ${quote(uri)} stands beside a ref, so it must be a path`)
  }
  if (isService(ref)) return resolveService(ref, destination, addresses)
  if (ref.kind === 'Broker') return resolveBroker(ref, destination, addresses)
  if (isSinkReference(ref)) return resolveSink(ref, destination, addresses)
  return unresolved(
    ref.kind === 'Deployment'
      ? `Deployment ${ref.namespace}/${ref.name} has no address: refer to the Service in front of it`
      : `${ref.kind} (${ref.apiVersion}) ${ref.namespace}/${ref.name} is not a kind whose address is known here: a Service, a Broker, a sink or a uri is`,
  )
}

function isService(ref: Reference): boolean {
  return ref.kind === 'Service' && ref.apiVersion === 'v1'
}

function resolveService(ref: Reference, destination: Destination, addresses: Addresses): Resolved {
  const name = `Service ${ref.namespace}/${ref.name}`
  const service = addresses.services.find(one => sameName(one, ref))
  if (service === undefined) return unresolved(`${name} does not exist`)
  if (Object.keys(service.spec.selector).length === 0)
    return unresolved(`${name} has no selector, so nothing is behind it`)

  const selected = behind(service, addresses.deployments)
  const [deployment, other] = selected
  if (deployment === undefined)
    return unresolved(`${name} selects no Deployment: ${labelText(service)} matches no pod labels`)
  if (other !== undefined) {
    const names = selected.map(one => one.metadata.name).join(', ')
    return unresolved(`${name} selects more than one Deployment (${names}): make its selector match one of them`)
  }
  const scheme = destination.CACerts === undefined ? 'http' : 'https'
  const base = `${scheme}://${ref.name}.${ref.namespace}.svc.${CLUSTER_DOMAIN}`
  const address = join(base, destination.uri)
  if (address === undefined) return unresolved(`uri ${quote(destination.uri ?? '')} is not a path`)
  const { pathname, search } = new URL(address)
  const workload = workloadId('Deployment', deployment.metadata.namespace, deployment.metadata.name)
  return {
    kind: 'resolved',
    target: { kind: 'workload', address, workload, path: pathname + search, ...trustOf(destination) },
  }
}

function resolveBroker(ref: Reference, destination: Destination, addresses: Addresses): Resolved {
  const { uri } = destination
  const base = addresses.brokerAddress(brokerId(ref.namespace, ref.name))
  if (base === undefined) return unresolved(`Broker ${ref.namespace}/${ref.name} does not exist`)
  const address = join(base, uri)
  return address === undefined
    ? unresolved(`uri ${quote(uri ?? '')} is not a path`)
    : { kind: 'resolved', target: { kind: 'url', address, ...trustOf(withAudience(destination, ref, addresses)) } }
}

function resolveSink(ref: Reference, destination: Destination, addresses: Addresses): Resolved {
  const base = addresses.sinkAddress(workloadId(ref.kind, ref.namespace, ref.name))
  if (base === undefined) return unresolved(`${ref.kind} ${ref.namespace}/${ref.name} does not exist, or is not served`)
  const address = join(base, destination.uri)
  return address === undefined
    ? unresolved(`uri ${quote(destination.uri ?? '')} is not a path`)
    : { kind: 'resolved', target: { kind: 'url', address, ...trustOf(destination) } }
}

/** A Broker's own audience, unless the destination names another one. */
function withAudience(destination: Destination, ref: Reference, { features }: Addresses): Destination {
  if (!features.oidc || destination.audience !== undefined) return destination
  return { ...destination, audience: brokerAudience(ref.namespace, ref.name) }
}

function trustOf({ CACerts, audience }: Destination): { readonly trust?: Trust } {
  if (CACerts === undefined && audience === undefined) return {}
  return { trust: { ...(CACerts !== undefined && { caCerts: CACerts }), ...(audience !== undefined && { audience }) } }
}

/** What status says of an address, by Knative's names: `subscriberUri`, `subscriberAudience` … */
export function addressFields(name: string, resolved: Resolved | undefined): Readonly<Record<string, string>> {
  if (resolved?.kind !== 'resolved') return {}
  const { address, trust } = resolved.target
  return {
    [`${name}Uri`]: address,
    ...(trust?.caCerts !== undefined && { [`${name}CACerts`]: trust.caCerts }),
    ...(trust?.audience !== undefined && { [`${name}Audience`]: trust.audience }),
  }
}

/** The Deployments whose pods are behind `service`. An empty selector selects nothing. */
function behind(service: ServiceResource, deployments: readonly DeploymentResource[]): DeploymentResource[] {
  const wanted = Object.entries(service.spec.selector)
  return deployments.filter(
    ({ metadata, spec }) =>
      metadata.namespace === service.metadata.namespace &&
      wanted.length > 0 &&
      wanted.every(([label, value]) => spec.podLabels[label] === value),
  )
}

/** RFC 3986 reference resolution. Without a `uri` the base stays as it is: no trailing slash, as Knative has none. */
function join(base: string, uri: string | undefined): string | undefined {
  if (uri === undefined || uri === '') return base
  const joined = URL.canParse(uri, base) ? new URL(uri, base) : undefined
  return joined !== undefined && joined.origin === new URL(base).origin ? joined.href : undefined
}

function sameName(resource: ServiceResource, ref: Reference): boolean {
  return resource.metadata.name === ref.name && resource.metadata.namespace === ref.namespace
}

function labelText(service: ServiceResource): string {
  return Object.entries(service.spec.selector)
    .map(([label, value]) => `${label}=${value}`)
    .join(',')
}

function quote(text: string): string {
  return JSON.stringify(text)
}

function unresolved(reason: string): Resolved {
  return { kind: 'unresolved', reason }
}
