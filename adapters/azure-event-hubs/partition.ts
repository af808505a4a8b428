import { isOfAnother } from '../../clients/azure-event-hubs/backlog.ts'
import type { Checkpoint, CheckpointStore, Position } from '../../clients/azure-event-hubs/checkpoints.ts'
import type { EventHub, From, HubEvent } from '../../clients/azure-event-hubs/hub.ts'
import type { Trouble } from '../../clients/azure-event-hubs/outcome.ts'
import type { AzureEventHubsSourceResource } from '../../crds/azure-event-hubs-source.ts'
import type { CloudEvent } from '../../event/event.ts'
import { sleep } from '../../runtime/clock.ts'
import type { AdapterDeps } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'
import { beginAt } from './begin.ts'
import { toEvents } from './to-event.ts'

export interface PartitionDeps {
  readonly hub: EventHub
  readonly store: CheckpointStore
  readonly spec: AzureEventHubsSourceResource['spec']
  readonly adapter: Pick<AdapterDeps, 'emitInOrder' | 'clock' | 'random' | 'log'>
  /** Told when `held`, `error` or what was taken changes. */
  readonly onChange: (taken: number) => void
}

/** A partition that this adapter owns. */
export interface Claim {
  readonly partition: string
  /** Higher than that of any reader before. */
  readonly epoch: number
  readonly checkpoint: Checkpoint | undefined
}

/** `stopped`: what was done is in the checkpoint. `lost`: somebody else has the partition, or changed its checkpoint. */
export type Left = 'stopped' | 'lost'

/** What fails is tried again in this rhythm. */
const AGAIN: Backoff = { minMs: 500, maxMs: 15_000 }
/** An event that nobody takes is offered again in this one. */
const HELD: Backoff = { minMs: 1_000, maxMs: 30_000 }
/** The most that is done without a checkpoint. */
const CHECKPOINT_EVENTS = 1_000
/** Handed on at once at most, and how long that may take before fewer are: a stop waits for what was handed on. */
const CHUNK_EVENTS = 100
const SLOW_MS = 400
const FAST_MS = 100

/** One event on its way out, and the place in the partition that is done with it. */
interface Item {
  readonly event: CloudEvent
  /** Undefined where more events follow of the same one in the hub. */
  readonly done: Position | undefined
  readonly sequence: number
}

class Overtaken extends Error {
  override readonly name = 'Overtaken'
}

/**
 * Hands the events of one partition on in their order, and keeps in its checkpoint those that are done with all before them.
 * An event that nobody takes holds those behind it.
 */
export class OwnedPartition {
  readonly #claim: Claim
  readonly #deps: PartitionDeps
  #position: Position | undefined
  #createdMs: number | undefined
  #etag: string | undefined
  #saved = true
  #unsaved = 0
  #savedAtMs: number
  #chunk = 1
  #held = 0
  #readError: string | undefined
  #heldError: string | undefined

  constructor(claim: Claim, deps: PartitionDeps) {
    this.#claim = claim
    this.#deps = deps
    this.#position = claim.checkpoint
    this.#etag = claim.checkpoint?.etag
    this.#savedAtMs = deps.adapter.clock.monotonicMs()
  }

  /** Events in hand that nobody has taken yet. */
  get held(): number {
    return this.#held
  }

  get error(): string | undefined {
    return this.#heldError ?? this.#readError
  }

  /**
   * Works until `stop` aborts, and then finishes what it has handed on; `cut` ends that too, and every call.
   * @throws only what is a mistake in this code.
   */
  async run(stop: AbortSignal, cut: AbortSignal): Promise<Left> {
    try {
      await this.#readAll(stop, cut)
      if (!this.#saved) await this.#save(cut)
      return 'stopped'
    } catch (error) {
      if (error instanceof Overtaken) return 'lost'
      if (cut.aborted && error === cut.reason) return 'stopped'
      throw error
    } finally {
      this.#held = 0
      this.#readError = undefined
      this.#heldError = undefined
      this.#deps.onChange(0)
    }
  }

  async #readAll(stop: AbortSignal, cut: AbortSignal): Promise<void> {
    const { hub, adapter } = this.#deps
    const { partition, epoch } = this.#claim
    for (let failures = 0; !stop.aborted; failures++) {
      const from = await this.#begin(stop)
      if (from !== undefined) {
        const take = async (events: readonly HubEvent[]) => {
          failures = 0
          await this.#take(events, stop, cut)
        }
        const ended = await hub.read({ partition, from, epoch, take }, stop)
        if (ended.kind === 'stolen') throw new Overtaken('another reader has the partition')
        if (ended.kind === 'trouble') this.#trouble(ended)
      }
      if (!stop.aborted) await sleep(adapter.clock, backoffMs(failures, AGAIN, adapter.random), stop).catch(() => {})
    }
  }

  /** @returns where to go on; undefined where that cannot be known now, or it is to stop. */
  async #begin(stop: AbortSignal): Promise<From | undefined> {
    const { hub, spec, adapter } = this.#deps
    const { partition } = this.#claim
    const known = await this.#look(stop).catch((error: unknown) => {
      if (stop.aborted) return undefined
      throw error
    })
    if (known === undefined) return undefined
    const { hubNow, facts } = known
    if (isOfAnother(this.#position, hubNow.createdMs)) {
      adapter.log.warn({ source: hub.url, partition }, 'the hub was made anew, and is read from its beginning')
      this.#position = undefined
      this.#createdMs = hubNow.createdMs
      return { kind: 'earliest' }
    }
    this.#createdMs = hubNow.createdMs
    const begin = beginAt(this.#position, spec.initialPosition, facts)
    if (begin.note !== undefined)
      adapter.log.warn({ source: hub.url, partition, reason: begin.note }, 'a partition has a gap')
    return begin.from
  }

  async #look(stop: AbortSignal) {
    const hubNow = await this.#deps.hub.partitions(stop)
    const facts = hubNow.kind === 'trouble' ? hubNow : await this.#deps.hub.facts(this.#claim.partition, stop)
    if (hubNow.kind !== 'trouble' && facts.kind !== 'trouble') return { hubNow, facts }
    if (facts.kind === 'trouble') this.#trouble(facts)
    return undefined
  }

  async #take(events: readonly HubEvent[], stop: AbortSignal, cut: AbortSignal): Promise<void> {
    this.#readError = undefined
    let items = events.flatMap(one => this.#itemsOf(one))
    this.#hold(items.length, 0)
    for (let failures = 0; items.length > 0 && !stop.aborted; ) {
      const { taken, refused } = await this.#emit(items.slice(0, this.#chunk), cut)
      this.#done(items.slice(0, taken))
      const [next] = items.slice(taken)
      items = items.slice(taken)
      failures = taken > 0 ? 0 : failures
      this.#heldError = refused && `${this.#place(next)} is held, and all behind it: the sink ${refused.reason}`
      this.#hold(items.length, taken)
      await this.#saveIfDue(cut)
      if (refused === undefined) continue
      const { clock, random, log } = this.#deps.adapter
      log.error(
        { source: this.#deps.hub.url, partition: this.#claim.partition, reason: this.#heldError },
        'a partition is held',
      )
      await sleep(clock, backoffMs(failures++, HELD, random), stop).catch(() => {})
    }
    this.#hold(0, 0)
    await this.#saveIfDue(cut)
  }

  #itemsOf(event: HubEvent): Item[] {
    const { hub, spec, adapter } = this.#deps
    const { partition } = this.#claim
    const { sequence, offset } = event
    const { events, unread } = toEvents(event, { url: hub.url, partition }, spec)
    if (unread !== undefined)
      adapter.log.warn({ source: hub.url, partition, sequence, reason: unread }, 'an event is passed on as data')
    const done = { sequence, offset, createdMs: this.#createdMs }
    return events.map((one, i) => ({ event: one, sequence, done: i === events.length - 1 ? done : undefined }))
  }

  /** As many at once as the sink takes in a moment: a stop, and another adapter, wait for those. */
  async #emit(items: readonly Item[], cut: AbortSignal) {
    const { clock, emitInOrder } = this.#deps.adapter
    const startedMs = clock.monotonicMs()
    const emitted = await emitInOrder(
      items.map(one => one.event),
      cut,
    )
    const tookMs = clock.monotonicMs() - startedMs
    if (tookMs < FAST_MS) this.#chunk = Math.min(CHUNK_EVENTS, this.#chunk * 2)
    if (tookMs > SLOW_MS) this.#chunk = Math.max(1, Math.floor(this.#chunk / 2))
    return emitted
  }

  #done(items: readonly Item[]): void {
    this.#unsaved += items.length
    const done = items.findLast(one => one.done !== undefined)?.done
    if (done === undefined) return
    this.#position = done
    this.#saved = false
  }

  #hold(held: number, taken: number): void {
    this.#held = held
    this.#deps.onChange(taken)
  }

  async #saveIfDue(cut: AbortSignal): Promise<void> {
    const { spec, adapter } = this.#deps
    const sinceMs = adapter.clock.monotonicMs() - this.#savedAtMs
    if (this.#saved || (this.#unsaved < CHECKPOINT_EVENTS && sinceMs < spec.checkpoint.intervalMs)) return
    await this.#save(cut)
  }

  /** Nothing is handed on while it cannot be kept what was: what would come twice stays little. */
  async #save(cut: AbortSignal): Promise<void> {
    const { store, adapter } = this.#deps
    const position = this.#position
    if (position === undefined) return
    for (let failures = 0; ; failures++) {
      const written = await store.checkpoint(this.#claim.partition, position, this.#etag, cut)
      if (written.kind === 'overtaken') throw new Overtaken('somebody else has written the checkpoint')
      if (written.kind === 'written') {
        this.#etag = written.etag
        this.#saved = true
        this.#unsaved = 0
        this.#savedAtMs = adapter.clock.monotonicMs()
        this.#readError = undefined
        return
      }
      if (written.what === 'missing') {
        // With its container the checkpoint is gone as well.
        this.#etag = undefined
        await store.create(cut)
      }
      this.#trouble(written)
      await sleep(adapter.clock, backoffMs(failures, AGAIN, adapter.random), cut)
    }
  }

  #trouble(found: Trouble): void {
    if (this.#readError !== found.reason) {
      const { hub, adapter } = this.#deps
      adapter.log.warn({ source: hub.url, partition: this.#claim.partition, reason: found.reason }, 'a partition waits')
    }
    this.#readError = found.reason
    this.#deps.onChange(0)
  }

  #place(item: Item | undefined): string {
    return `partition ${this.#claim.partition}, sequence number ${item?.sequence}`
  }
}
