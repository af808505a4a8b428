import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { type Owner, ownersOf } from './owners.ts'
import type { Profile } from './profile.ts'
import { reconcileBinding } from './reconcile-binding.ts'
import { reconcileBroker } from './reconcile-broker.ts'
import { reconcilePolicy } from './reconcile-policy.ts'
import { reconcileSink } from './reconcile-sink.ts'
import { reconcileSource } from './reconcile-source.ts'
import { openWorkQueue } from './work-queue.ts'
import type { ScaleFacts, World } from './world.ts'

export interface ControllerDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly profile: Profile
  /** Called when who is scaled, or within which bounds, may have changed: the autoscaler's `refresh`. */
  readonly refreshScale: (signal: AbortSignal) => Promise<void>
}

/** Keeps routes, adapters and statuses in line with the YAML. Disposing stops after the step that runs. */
export interface Controller extends AsyncDisposable {
  /**
   * Resources (`resourceKey`) that appeared, changed or went. Returns at once. At start: all there are, because an owner
   * that is named by nobody is never looked at.
   */
  changed(keys: readonly string[]): void
  /** Resolves when everything told so far has been acted upon, or waits for another attempt after a failure. */
  settled(): Promise<void>
}

/** Turns changes into owners. Not a resource: a key of its own, so that it is retried like any other. */
const CHANGES = 'changes'

export function startController(world: World, deps: ControllerDeps): Controller {
  const owners = new Map<string, Owner>()
  let changes = new Set<string>()
  let before: ScaleFacts | undefined

  const queue = openWorkQueue((key, signal) => (key === CHANGES ? spread(signal) : reconcile(key, signal)), deps)

  async function spread(signal: AbortSignal): Promise<void> {
    const facts = await world.readScale(signal)
    const taken = changes
    changes = new Set()
    for (const key of taken) {
      add(ownersOf(key, facts))
      if (before !== undefined) add(ownersOf(key, before))
    }
    before = facts
  }

  function add(affected: readonly Owner[]): void {
    for (const owner of affected) {
      const name = owner.kind === 'scale' ? owner.kind : `${owner.kind}:${owner.id}`
      owners.set(name, owner)
      queue.add(name)
    }
  }

  async function reconcile(key: string, signal: AbortSignal): Promise<void> {
    const owner = owners.get(key)
    switch (owner?.kind) {
      case 'broker':
        return reconcileBroker(owner.id, world, deps.profile, signal)
      case 'source':
        return reconcileSource(owner.id, world, deps.profile, signal)
      case 'sink':
        if ((await reconcileSink(owner.id, world, signal)) && before !== undefined)
          // For those who send to it, a sink at another address is another one.
          add(ownersOf(owner.key, before).filter(one => one.kind !== 'sink'))
        return
      case 'binding':
        await reconcileBinding(owner.id, world, signal)
        // Whoever was bound for the first time can run only now.
        return add([{ kind: 'scale' }])
      case 'policy':
        return reconcilePolicy(owner.id, world, signal)
      case 'scale':
        return deps.refreshScale(signal)
      case undefined:
        return
      default:
        return owner satisfies never
    }
  }

  return {
    changed(keys) {
      for (const key of keys) changes.add(key)
      if (keys.length > 0) queue.add(CHANGES)
    },
    settled: () => queue.idle(),
    [Symbol.asyncDispose]: () => queue[Symbol.asyncDispose](),
  }
}
