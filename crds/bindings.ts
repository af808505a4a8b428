import type { ContainerSourceResource } from './container-source.ts'
import { selects } from './label-selector.ts'
import type { SinkBindingResource, Subject } from './sink-binding.ts'
import type { DeploymentResource } from './workloads.ts'

/** Every kind that tells a workload where to send, instead of sending itself. */
export type BindingResource = SinkBindingResource | ContainerSourceResource

/** In the order in which they are listed. */
export const BINDING_KINDS = ['SinkBinding', 'ContainerSource'] as const satisfies readonly BindingResource['kind'][]

export function isBindingKind(kind: string): kind is BindingResource['kind'] {
  return BINDING_KINDS.some(one => one === kind)
}

/** Whether the subject of a SinkBinding in `namespace` is a Deployment and may be `deployment`. Labels are the Deployment's own. */
export function isSubject(subject: Subject, namespace: string, deployment: DeploymentResource): boolean {
  const { metadata } = deployment
  if (!isDeployments(subject) || metadata.namespace !== namespace) return false
  return subject.selector === undefined ? subject.name === metadata.name : selects(subject.selector, metadata.labels)
}

/** Of the apiVersion the group counts. */
export function isDeployments({ apiVersion, kind }: Subject): boolean {
  return kind === 'Deployment' && apiVersion.startsWith('apps/')
}
