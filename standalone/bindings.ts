import { type WorkloadId, workloadId } from '../contract/ids.ts'
import { type BindingResource, isSubject } from '../crds/bindings.ts'
import { containerDeployment } from '../crds/container-source.ts'
import type { DeploymentResource, EnvVar } from '../crds/workloads.ts'
import type { BoundWorkload } from '../trigger-controller/world.ts'

/** What bindings say to the Deployments of a local world, and the Deployments that ContainerSources stand for. */
export class Bindings {
  /** Undefined while nothing could be said yet. */
  readonly #said = new Map<WorkloadId, BoundWorkload | undefined>()

  /** As `World.applyBinding`. */
  set(id: WorkloadId, bound: BoundWorkload | 'waiting' | undefined): void {
    if (bound === undefined) this.#said.delete(id)
    else if (bound !== 'waiting') this.#said.set(id, bound)
    else if (!this.#said.has(id)) this.#said.set(id, undefined)
  }

  /**
   * `deployments` with what `bindings` say to them, and those of ContainerSources whose sink is there. One that is not there
   * yet is left out until its SinkBindings have been looked at: it would start only to be started again.
   */
  bind(
    deployments: readonly DeploymentResource[],
    bindings: readonly BindingResource[],
    isThere: (id: WorkloadId) => boolean,
  ): DeploymentResource[] {
    const bound = deployments.flatMap(deployment => {
      const own = bindings.filter(one => isBoundBy(one, deployment))
      if (own.some(one => !this.#said.has(idOf(one))) && !isThere(idOf(deployment))) return []
      // Of several the last by name counts, as the last one to bind does in a cluster.
      return own.reduce((one, binding) => withVariables(one, this.#said.get(idOf(binding))), deployment)
    })
    const sources = bindings.flatMap(one => {
      const said = one.kind === 'ContainerSource' ? this.#said.get(idOf(one)) : undefined
      return one.kind === 'ContainerSource' && said !== undefined ? [withVariables(containerDeployment(one), said)] : []
    })
    return [...bound, ...sources]
  }

  /** The workloads of one binding, among them those of `deployments`. */
  workloads(binding: BindingResource, deployments: readonly DeploymentResource[]): readonly WorkloadId[] {
    if (binding.kind === 'ContainerSource') return [idOf(containerDeployment(binding))]
    return deployments.filter(one => isBoundBy(binding, one)).map(idOf)
  }
}

function isBoundBy(binding: BindingResource, deployment: DeploymentResource): boolean {
  const { kind, metadata, spec } = binding
  return kind === 'SinkBinding' && isSubject(spec.subject, metadata.namespace, deployment)
}

/** A binding's variables win over the container's own, as in Knative. */
function withVariables(deployment: DeploymentResource, said: BoundWorkload | undefined): DeploymentResource {
  if (said === undefined) return deployment
  const { container } = deployment.spec
  const others = container.env.filter(({ name }) => !Object.hasOwn(said.env, name))
  // `$$` is a dollar that nothing is filled in for.
  const added = Object.entries(said.env).map(
    ([name, value]): EnvVar => ({ name, value: value.replaceAll('$(', '$$$$(') }),
  )
  return { ...deployment, spec: { ...deployment.spec, container: { ...container, env: [...added, ...others] } } }
}

function idOf({ kind, metadata }: BindingResource | DeploymentResource): WorkloadId {
  return workloadId(kind, metadata.namespace, metadata.name)
}
