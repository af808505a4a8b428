import { dirname, resolve } from 'node:path'
import { type WorkloadId, workloadId } from '../contract/ids.ts'
import type { Endpoint } from '../contract/routes.ts'
import { readLocalCommand } from '../crds/annotations.ts'
import { resourceKey } from '../crds/resource.ts'
import type { DeploymentResource } from '../crds/workloads.ts'
import type { Replicas } from '../trigger-controller/world.ts'
import { resolveEnvironment } from './environment.ts'
import type { Template } from './replica.ts'
import { ReplicaSet, type ReplicaSetDeps } from './replica-set.ts'

type EnvironmentObjects = Parameters<typeof resolveEnvironment>[2]

export interface DeploymentsDeps extends Omit<ReplicaSetDeps, 'requestMaxMs'> {
  /** Folder that the paths of the YAML files are relative to. */
  readonly cwd: string
  /** What every process inherits. */
  readonly baseEnv: Readonly<Record<string, string>>
  readonly objectsOf: (namespace: string) => EnvironmentObjects
  readonly requestMaxMs: (workload: WorkloadId) => number | undefined
  /** As `say`, of what is as it should be. */
  readonly note: (text: string) => void
}

interface Local {
  /** `replicas` of the YAML. */
  readonly declared: number
  readonly set: ReplicaSet | undefined
  /** Why it does not run here, in words. */
  readonly problem: string | undefined
}

/** The Deployments of the YAML as local processes. */
export class Deployments {
  readonly #deps: DeploymentsDeps
  readonly #locals = new Map<WorkloadId, Local>()
  /** Sets on their way out, whose requests still finish. */
  readonly #retiring = new Map<ReplicaSet, WorkloadId>()
  readonly #said = new Set<string>()

  constructor(deps: DeploymentsDeps) {
    this.#deps = deps
  }

  /** From now on these exist. New ones have no replica yet: an autoscaler asks for some, or `runDeclared` does. */
  sync(deployments: readonly DeploymentResource[]): void {
    const named = new Set<WorkloadId>()
    for (const deployment of deployments) {
      const id = workloadId('Deployment', deployment.metadata.namespace, deployment.metadata.name)
      named.add(id)
      this.#locals.set(id, this.#local(id, deployment))
    }
    for (const [id, { set }] of this.#locals) {
      if (named.has(id)) continue
      this.#locals.delete(id)
      if (set !== undefined) this.#retire(id, set)
    }
  }

  /** Every Deployment that `owned` does not claim runs the `replicas` of its YAML. */
  runDeclared(owned: (id: WorkloadId) => boolean): void {
    for (const [id, { set, declared }] of this.#locals) if (!owned(id)) set?.scale(declared)
  }

  replicas(id: WorkloadId): Replicas | undefined {
    const local = this.#locals.get(id)
    return local && { desired: local.set?.desired ?? 0, ready: local.set?.ready ?? 0 }
  }

  /** Why a Deployment does not run here, in words. */
  problem(id: WorkloadId): string | undefined {
    return this.#locals.get(id)?.problem
  }

  endpoints(): Readonly<Record<WorkloadId, readonly Endpoint[]>> {
    const found: Record<WorkloadId, readonly Endpoint[]> = {}
    for (const [id, { set }] of this.#locals) found[id] = set?.endpoints ?? []
    for (const [set, id] of this.#retiring) found[id] = [...(found[id] ?? []), ...set.endpoints]
    return found
  }

  scale(id: WorkloadId, replicas: number): void {
    this.#locals.get(id)?.set?.scale(replicas)
  }

  /** SIGTERM to every process, and waits for their end. */
  async stop(): Promise<void> {
    await Promise.all(this.#sets().map(set => set.stop()))
  }

  /** SIGKILL to every process. */
  kill(): void {
    for (const set of this.#sets()) set.kill()
  }

  /** Replicas that have not ended yet. */
  get alive(): number {
    return this.#sets().reduce((sum, set) => sum + set.pids.length, 0)
  }

  #sets(): ReplicaSet[] {
    return [...this.#locals.values()].flatMap(({ set }) => set ?? []).concat([...this.#retiring.keys()])
  }

  #local(id: WorkloadId, deployment: DeploymentResource): Local {
    const before = this.#locals.get(id)
    const declared = deployment.spec.replicas
    const template = this.#template(deployment)
    if (typeof template === 'string') {
      this.#once(`${resourceKey(deployment)} does not run here: ${template}`, this.#deps.say)
      return { declared, set: before?.set, problem: template } // What runs goes on, as pods would.
    }
    if (deployment.spec.container.image !== undefined) {
      this.#once(`${resourceKey(deployment)} runs as local processes; its image is not used`, this.#deps.note)
    }
    if (before?.set !== undefined) {
      before.set.update(template)
      return { declared, set: before.set, problem: undefined }
    }
    const deps = { ...this.#deps, requestMaxMs: () => this.#deps.requestMaxMs(id) }
    return { declared, set: new ReplicaSet(replicaName(deployment), template, deps), problem: undefined }
  }

  /** What its replicas run, or why they cannot. */
  #template(deployment: DeploymentResource): Template | string {
    const { container, terminationGracePeriodSeconds } = deployment.spec
    const argv = readLocalCommand(deployment.metadata) ?? [...container.command, ...container.args]
    if (readLocalCommand(deployment.metadata) === undefined && container.command.length === 0) {
      return 'its container has no `command`; add one, or the annotation `weir.dev/local-command`'
    }
    const environment = resolveEnvironment(
      container.env,
      this.#deps.baseEnv,
      this.#deps.objectsOf(deployment.metadata.namespace),
    )
    if (environment.kind === 'missing') return environment.reasons.join('; ')
    return {
      argv,
      cwd: dirname(resolve(this.#deps.cwd, deployment.where.file)),
      env: environment.env,
      readinessPath: container.readinessPath,
      graceMs: terminationGracePeriodSeconds * 1000,
    }
  }

  #retire(id: WorkloadId, set: ReplicaSet): void {
    this.#retiring.set(set, id)
    void set.retire().then(() => this.#retiring.delete(set))
  }

  #once(text: string, say: (text: string) => void): void {
    if (this.#said.has(text)) return
    this.#said.add(text)
    say(text)
  }
}

/** Names of replicas are unique in a process, and short in the namespace that most people use. */
function replicaName({ metadata }: DeploymentResource): string {
  return metadata.namespace === 'default' ? metadata.name : `${metadata.namespace}/${metadata.name}`
}
