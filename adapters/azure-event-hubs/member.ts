import type { CheckpointStore, Kept, Ownership } from '../../clients/azure-event-hubs/checkpoints.ts'
import type { EventHub } from '../../clients/azure-event-hubs/hub.ts'
import type { Trouble } from '../../clients/azure-event-hubs/outcome.ts'
import type { AzureEventHubsSourceResource } from '../../crds/azure-event-hubs-source.ts'
import { type Cancel, sleep } from '../../runtime/clock.ts'
import { type AdapterDeps, DRAIN_MS } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { decideBalance } from './balance.ts'
import { pinOf } from './begin.ts'
import { OwnedPartition } from './partition.ts'

/** Rounds that fail are repeated in this rhythm. */
const TROUBLE: Backoff = { minMs: 500, maxMs: 15_000 }
/** How often it is asked which partitions there are: a hub may get more. */
const PARTITIONS_MS = 60_000
/** The end of a drain, kept for giving partitions up: at most, and as a part of the whole. */
const GIVE_UP_MAX_MS = 3_000
const GIVE_UP_PART = 0.4

interface Mine {
  readonly owned: OwnedPartition
  readonly epoch: number
  etag: string
  /** Ends it when what it has in hand is done. */
  readonly stop: AbortController
  /** Ends it now. */
  readonly cut: AbortController
  readonly ended: Promise<void>
}

/** One member of a consumer group: it shares the partitions with the others, and reads its own. */
export class Member {
  readonly #hub: EventHub
  readonly #store: CheckpointStore
  readonly #spec: AzureEventHubsSourceResource['spec']
  readonly #deps: AdapterDeps
  readonly #id: string
  readonly #mine = new Map<string, Mine>()
  /** Without a checkpoint, and in no need of one. */
  readonly #unpinned = new Set<string>()
  readonly #broken = new AbortController()
  /** Aborts at the very end of a drain: no call may last longer. */
  readonly #end = new AbortController()
  #partitions: readonly string[] = []
  #createdMs: number | undefined
  #partitionsAtMs = Number.NEGATIVE_INFINITY
  #ready = false
  #emitted = 0
  #error: string | undefined

  constructor(hub: EventHub, store: CheckpointStore, spec: AzureEventHubsSourceResource['spec'], deps: AdapterDeps) {
    this.#hub = hub
    this.#store = store
    this.#spec = spec
    this.#deps = deps
    this.#id = idOf(deps.random)
  }

  /** Until `signal` aborts; then it gives all up, finished or not. It throws only what is a mistake in this code. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#broken.signal])
    await this.#rounds(stop).catch((error: unknown) => {
      if (!stop.aborted || error !== stop.reason) this.#broken.abort(error)
    })
    await this.#drain()
    this.#broken.signal.throwIfAborted()
  }

  async #rounds(stop: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    for (let failures = 0; !stop.aborted; ) {
      const found = await this.#round(stop)
      if (found !== undefined && this.#error !== found.reason)
        this.#deps.log.warn({ source: this.#hub.url, reason: found.reason }, 'partitions cannot be shared out')
      this.#error = found?.reason
      this.#tell()
      const pauseMs = (this.#spec.ownershipTimeoutMs / 3) * (0.8 + 0.2 * random())
      const againMs = Math.min(pauseMs, backoffMs(failures, TROUBLE, random))
      failures = found === undefined ? 0 : failures + 1
      await sleep(clock, found === undefined ? pauseMs : againMs, stop)
    }
  }

  /** Looks, keeps what is ours, and takes or gives up what would be fair. @returns why it came to nothing. */
  async #round(signal: AbortSignal): Promise<Trouble | undefined> {
    const found = (await this.#learnPartitions(signal)) ?? (await this.#attend(signal))
    if (found !== undefined) return found
    const kept = await this.#store.read(signal)
    if (kept.kind === 'trouble') return kept
    const trouble = (await this.#pin(kept, signal)) ?? (await this.#keep(kept, signal))
    if (trouble !== undefined) return trouble
    // What is under our name and is not read any more is free: we may take it as well as anybody.
    const owners = new Map(
      [...kept.ownerships].flatMap(([id, one]) =>
        this.#isAlive(one) && one.owner !== this.#id ? [[id, one.owner]] : [],
      ),
    )
    const members = [...kept.members].flatMap(([id, ageMs]) => (ageMs < this.#spec.ownershipTimeoutMs ? [id] : []))
    for (const id of this.#mine.keys()) owners.set(id, this.#id)
    const balance = decideBalance({ partitions: this.#partitions, owners, members, me: this.#id })
    for (const partition of balance.giveUp) this.#mine.get(partition)?.stop.abort(new Error('it goes to another'))
    const failed = await this.#claim(balance.claim, kept, signal)
    this.#ready ||= failed === undefined
    return failed
  }

  async #learnPartitions(signal: AbortSignal): Promise<Trouble | undefined> {
    const nowMs = this.#deps.clock.monotonicMs()
    if (nowMs - this.#partitionsAtMs < PARTITIONS_MS) return undefined
    const found = await this.#hub.partitions(signal)
    if (found.kind === 'trouble') return found
    this.#partitions = found.ids
    this.#createdMs = found.createdMs
    this.#partitionsAtMs = nowMs
    return undefined
  }

  async #attend(signal: AbortSignal): Promise<Trouble | undefined> {
    const attended = await this.#store.attend(this.#id, signal)
    if (attended.kind === 'attended') return undefined
    const created = attended.what === 'missing' ? await this.#store.create(signal) : attended
    if (created.kind === 'trouble') return created
    const again = await this.#store.attend(this.#id, signal)
    return again.kind === 'trouble' ? again : undefined
  }

  /** Writes down where partitions begin that have no checkpoint, whoever will read them. */
  async #pin(kept: Kept, signal: AbortSignal): Promise<Trouble | undefined> {
    for (const partition of this.#partitions) {
      if (kept.checkpoints.has(partition) || this.#mine.has(partition) || this.#unpinned.has(partition)) continue
      const facts = await this.#hub.facts(partition, signal)
      if (facts.kind === 'trouble') return facts
      const position = pinOf(this.#spec.initialPosition, facts)
      if (position === undefined) {
        this.#unpinned.add(partition)
        continue
      }
      const pinned = await this.#store.checkpoint(
        partition,
        { ...position, createdMs: this.#createdMs },
        undefined,
        signal,
      )
      if (pinned.kind === 'trouble') return pinned
    }
    return undefined
  }

  /** Says again what is ours. What is not any more is left at once. */
  async #keep(kept: Kept, signal: AbortSignal): Promise<Trouble | undefined> {
    let found: Trouble | undefined
    for (const [partition, mine] of this.#mine) {
      const seen = kept.ownerships.get(partition)
      const own =
        seen?.owner === this.#id && seen.epoch === mine.epoch
          ? await this.#store.own(partition, this.#id, mine.epoch, seen.etag, signal)
          : ({ kind: 'overtaken' } as const)
      if (own.kind === 'written') mine.etag = own.etag
      else if (own.kind === 'overtaken') mine.cut.abort(new Error('somebody else has the partition'))
      else found = own
    }
    return found
  }

  async #claim(partitions: readonly string[], kept: Kept, signal: AbortSignal): Promise<Trouble | undefined> {
    const claimed = new Map<string, { readonly epoch: number; readonly etag: string }>()
    let found: Trouble | undefined
    for (const partition of partitions) {
      const seen = kept.ownerships.get(partition)
      const epoch = (seen?.epoch ?? 0) + 1
      const own = await this.#store.own(partition, this.#id, epoch, seen?.etag, signal)
      if (own.kind === 'written') claimed.set(partition, { epoch, etag: own.etag })
      else if (own.kind === 'trouble') found = own
    }
    if (claimed.size === 0) return found
    // Whoever had them before may have written since the last look.
    const fresh = await this.#store.read(signal)
    if (fresh.kind === 'trouble') return fresh
    for (const [partition, claim] of claimed) this.#start(partition, claim, fresh)
    return found
  }

  #start(partition: string, { epoch, etag }: { readonly epoch: number; readonly etag: string }, kept: Kept): void {
    const onChange = (taken: number) => {
      this.#emitted += taken
      this.#tell()
    }
    const owned = new OwnedPartition(
      { partition, epoch, checkpoint: kept.checkpoints.get(partition) },
      { hub: this.#hub, store: this.#store, spec: this.#spec, adapter: this.#deps, onChange },
    )
    const [stop, cut] = [new AbortController(), new AbortController()]
    const ended = owned.run(AbortSignal.any([stop.signal, cut.signal]), cut.signal).then(
      async left => {
        const mine = this.#mine.get(partition)
        if (left === 'stopped' && mine !== undefined) await this.#giveUp(partition, mine)
        this.#mine.delete(partition)
        this.#deps.log.info({ source: this.#hub.url, partition, left }, 'a partition is left')
      },
      (error: unknown) => this.#broken.abort(error),
    )
    this.#mine.set(partition, { owned, epoch, etag, stop, cut, ended })
    this.#deps.log.info({ source: this.#hub.url, partition, epoch }, 'a partition is read')
  }

  /** So that others need not wait until its time is over. Where it fails, they do. */
  async #giveUp(partition: string, { epoch, etag }: Mine): Promise<void> {
    const signal = this.#end.signal
    try {
      const given = await this.#store.own(partition, '', epoch, etag, signal)
      if (given.kind !== 'overtaken') return
      // A renewal of ours may have come to the store, and its answer not to us.
      const kept = await this.#store.read(signal)
      const seen = kept.kind === 'kept' ? kept.ownerships.get(partition) : undefined
      if (seen?.owner === this.#id && seen.epoch === epoch)
        await this.#store.own(partition, '', epoch, seen.etag, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #drain(): Promise<void> {
    const { clock, drainMs = DRAIN_MS } = this.#deps
    const reason = new Error('the adapter stops')
    const all = [...this.#mine.values()]
    for (const { stop } of all) stop.abort(reason)
    const tooLate = () => {
      for (const { cut } of all) cut.abort(reason)
    }
    const giveUpMs = Math.min(GIVE_UP_MAX_MS, drainMs * GIVE_UP_PART)
    const cancels: Cancel[] = [
      clock.after(drainMs - giveUpMs, tooLate),
      clock.after(drainMs, () => this.#end.abort(reason)),
    ]
    await Promise.all(all.map(one => one.ended))
    await this.#store.leave(this.#id, this.#end.signal).catch(() => {})
    for (const cancel of cancels) cancel()
    this.#tell()
  }

  #isAlive({ owner, ageMs }: Ownership): boolean {
    return owner !== '' && ageMs < this.#spec.ownershipTimeoutMs
  }

  #tell(): void {
    const owned = [...this.#mine.values()].map(one => one.owned)
    this.#deps.report({
      ready: this.#ready,
      error: owned.find(one => one.error !== undefined)?.error ?? this.#error,
      held: owned.reduce((sum, one) => sum + one.held, 0),
      emitted: this.#emitted,
    })
  }
}

/** Unlike that of any other member: 128 bits of chance. */
function idOf(random: () => number): string {
  return Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
}
