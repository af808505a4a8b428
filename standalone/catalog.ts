import { dirname } from 'node:path'
import { BINDING_KINDS, type BindingResource } from '../crds/bindings.ts'
import type { Resource } from '../crds/manifest.ts'
import { resourceKey } from '../crds/resource.ts'
import { SINK_KINDS, type SinkResource } from '../crds/sinks.ts'
import { SOURCE_KINDS, type SourceResource } from '../crds/sources.ts'

/** What an edit did. */
export interface Edit {
  readonly added: readonly Resource[]
  readonly changed: readonly Resource[]
  readonly removed: readonly Resource[]
  /** Gone from the files, and kept for now because events are owed. */
  readonly kept: readonly Resource[]
}

/** Whoever depends on one of these (`resourceKey`) looks again. */
export function keysOf({ added, changed, removed }: Edit): readonly string[] {
  return [...added, ...changed, ...removed].map(resourceKey)
}

/** How long what is gone from the files stays, where a Trigger among it still owes events. */
export const KEEP_MS = 60_000

/**
 * The resources that hold now. A file that is saved half, or emptied by a slip, must not cost events: when an edit takes
 * away a Trigger that owes some, everything the same edit takes away stays for a minute, so that the events can still go
 * where they were going, and the slip can be mended.
 */
export class Catalog {
  readonly #resources = new Map<string, Resource>()
  readonly #keptUntilMs = new Map<string, number>()

  get(key: string): Resource | undefined {
    return this.#resources.get(key)
  }

  /** Every resource of a kind, in the order of their keys. */
  all<K extends Resource['kind']>(kind: K): Extract<Resource, { kind: K }>[] {
    const found: Extract<Resource, { kind: K }>[] = []
    for (const resource of this.#resources.values()) if (isOf(resource, kind)) found.push(resource)
    return found.sort((a, b) => (resourceKey(a) < resourceKey(b) ? -1 : 1))
  }

  /** Every source, kind by kind. */
  sources(): SourceResource[] {
    return SOURCE_KINDS.flatMap((kind): SourceResource[] => this.all(kind))
  }

  /** Every sink, kind by kind. */
  sinks(): SinkResource[] {
    return SINK_KINDS.flatMap((kind): SinkResource[] => this.all(kind))
  }

  /** Every binding, kind by kind. */
  bindings(): BindingResource[] {
    return BINDING_KINDS.flatMap((kind): BindingResource[] => this.all(kind))
  }

  get size(): number {
    return this.#resources.size
  }

  /** The files now say `resources`. `owes` tells whether events wait for a Trigger, or for one of a Broker. Times are monotonic. */
  edit(resources: readonly Resource[], nowMs: number, owes: (resource: Resource) => boolean): Edit {
    const next = new Map(resources.map(resource => [resourceKey(resource), resource]))
    const added: Resource[] = []
    const changed: Resource[] = []
    for (const [key, resource] of next) {
      const was = this.#resources.get(key)
      if (was === undefined) added.push(resource)
      else if (!sameMeaning(was, resource)) changed.push(resource)
      this.#resources.set(key, resource)
      this.#keptUntilMs.delete(key)
    }
    const gone = [...this.#resources].filter(([key]) => !next.has(key) && !this.#keptUntilMs.has(key))
    const missing = gone.map(([, resource]) => resource)
    if (missing.some(owes)) {
      for (const [key] of gone) this.#keptUntilMs.set(key, nowMs + KEEP_MS)
      return { added, changed, removed: [], kept: missing }
    }
    for (const [key] of gone) this.#resources.delete(key)
    return { added, changed, removed: missing, kept: [] }
  }

  /** Takes away what was kept and whose minute is over. */
  expire(nowMs: number): Edit {
    const removed: Resource[] = []
    for (const [key, untilMs] of [...this.#keptUntilMs]) {
      if (untilMs > nowMs) continue
      const resource = this.#resources.get(key)
      if (resource !== undefined) removed.push(resource)
      this.#resources.delete(key)
      this.#keptUntilMs.delete(key)
    }
    return { added: [], changed: [], removed, kept: [] }
  }
}

/** The kind is the tag of the union, so equal kinds are equal types. */
function isOf<K extends Resource['kind']>(resource: Resource, kind: K): resource is Extract<Resource, { kind: K }> {
  return resource.kind === kind
}

/** Whether two resources ask for the same. Lines may move; the folder matters, because commands run in it. */
export function sameMeaning(a: Resource, b: Resource): boolean {
  return meaning(a) === meaning(b)
}

function meaning(resource: Resource): string {
  return JSON.stringify({ ...resource, where: dirname(resource.where.file) })
}
