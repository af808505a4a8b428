import assert from 'node:assert/strict'
import type { Archive } from '../../broker/archive.ts'
import type { EventStore, Failure, Incoming, Lease, StoredSettlement } from '../../broker/store.ts'
import type { BrokerId, TriggerId } from '../../contract/ids.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Dice } from '../support/dice.ts'
import type { ManualClock } from '../support/manual-clock.ts'

/** What is owed to one Trigger, as it is on disk. */
interface Owed {
  readonly trigger: TriggerId
  readonly seq: number
  readonly stage: Lease['stage']
  readonly attempt: number
  readonly failure: Failure | undefined
  readonly dueMs: number
  readonly parked: boolean
}

interface Row {
  readonly event: CloudEvent
  readonly hops: number
  readonly acceptedMs: number
}

/** What survives a crash. */
export class Disk {
  readonly events = new Map<number, Row>()
  readonly owed = new Map<string, Owed>()
  /** By event id, whether anybody still wants it or not. */
  readonly everStored = new Set<string>()
  lastSeq = 0

  parked(): ReadonlySet<string> {
    const parked = [...this.owed.values()].filter(owed => owed.parked)
    return new Set(parked.map(({ trigger, seq }) => keyOf(trigger, seq)))
  }
}

export interface CrashStoreOptions {
  readonly disk: Disk
  readonly clock: ManualClock
  readonly dice: Dice
  readonly match: (event: CloudEvent) => readonly TriggerId[]
  /** True where this group does not fit on the disk. */
  readonly full: () => boolean
  /** A copy of the broker may bring classes of its own. */
  readonly fullError: new (
    message: string,
  ) => Error
  /** Told when the end of a delivery has reached the disk. */
  readonly onDone: (trigger: TriggerId, seq: number) => void
}

type Write =
  | {
      readonly kind: 'append'
      readonly seq: number
      readonly row: Row
      readonly resolve: () => void
      readonly reject: (error: Error) => void
    }
  | {
      readonly kind: 'settle'
      readonly owed: Owed | undefined
      readonly key: string
      readonly trigger: TriggerId
      readonly seq: number
    }

/**
 * One life of a store with group commit: what is settled counts at once in memory and on disk with the next group; a crash
 * loses the group that was not written, and the leases.
 */
export class CrashStore implements EventStore {
  readonly #options: CrashStoreOptions
  readonly #ready = new Map<TriggerId, Owed[]>()
  readonly #leased = new Map<Lease, Owed>()
  readonly #hungry = new Set<TriggerId>()
  #listener: (trigger: TriggerId) => void = () => {}
  #group: Write[] = []
  #dead = false

  constructor(options: CrashStoreOptions) {
    this.#options = options
    for (const owed of options.disk.owed.values()) if (!owed.parked) this.#schedule(owed)
  }

  /** Nothing that was begun goes on, nobody hears of it. The group in flight is on disk, or it is not. */
  crash(): void {
    if (this.#options.dice.chance(0.5)) this.#commit(false)
    this.#dead = true
  }

  /** Nothing is waiting, retrying or in flight. */
  get drained(): boolean {
    return this.#group.length === 0 && [...this.#options.disk.owed.values()].every(owed => owed.parked)
  }

  async route(): Promise<[]> {
    return []
  }

  append(_broker: BrokerId, event: CloudEvent, hops: number): Promise<{ seq: number; matched: readonly TriggerId[] }> {
    const seq = ++this.#options.disk.lastSeq
    const row = { event, hops, acceptedMs: this.#options.clock.nowMs() }
    return new Promise((resolve, reject) => {
      this.#write({
        kind: 'append',
        seq,
        row,
        resolve: () => resolve({ seq, matched: this.#options.match(event) }),
        reject,
      })
    })
  }

  async appendAll(broker: BrokerId, events: readonly Incoming[]) {
    return Promise.all(events.map(({ event, hops }) => this.append(broker, event, hops)))
  }

  get archive(): Archive {
    throw new Error('nobody looks into the archive of a simulated store')
  }

  lease(trigger: TriggerId, max: number): readonly Lease[] {
    if (this.#dead) return []
    const ready = (this.#ready.get(trigger) ?? []).sort((a, b) => a.seq - b.seq)
    const taken = ready.splice(0, max)
    if (taken.length < max) this.#hungry.add(trigger)
    else this.#hungry.delete(trigger)
    return taken.map(owed => {
      const row = this.#options.disk.events.get(owed.seq)
      assert(row !== undefined, `seq ${owed.seq} is leased and not on disk`)
      const { stage, attempt, failure, seq } = owed
      const lease: Lease = { trigger, seq, ...row, stage, attempt, failure }
      this.#leased.set(lease, owed)
      return lease
    })
  }

  onDue(listener: (trigger: TriggerId) => void): void {
    this.#listener = listener
  }

  settle(lease: Lease, settlement: StoredSettlement): void {
    if (this.#dead) return
    const owed = this.#leased.get(lease)
    assert(owed !== undefined, `${lease.trigger} seq ${lease.seq} is settled twice`)
    this.#leased.delete(lease)
    const next = after(owed, settlement, this.#options.clock.nowMs())
    const { trigger, seq } = lease
    if (settlement.kind !== 'returned')
      this.#write({ kind: 'settle', owed: next, key: keyOf(trigger, seq), trigger, seq })
    if (next !== undefined && !next.parked) this.#schedule(next)
  }

  counts(trigger: TriggerId) {
    const waiting = this.#ready.get(trigger)?.length ?? 0
    return { waiting, blocked: 0, retrying: 0, inFlight: 0, parked: 0, oldestMs: undefined, nextDueMs: undefined }
  }

  onFailure(): void {}

  async flush(): Promise<void> {
    this.#commit(true)
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #write(write: Write): void {
    if (this.#dead) return
    this.#group.push(write)
    if (this.#group.length > 1) return
    const { clock, dice } = this.#options
    clock.after(1 + dice.below(4), () => {
      if (!this.#dead) this.#commit(true)
    })
  }

  /** @param alive false: it reaches the disk, but nobody is told. */
  #commit(alive: boolean): void {
    const group = this.#group
    this.#group = []
    const full = group.some(write => write.kind === 'append') && this.#options.full()
    for (const write of group) {
      if (write.kind === 'settle') this.#commitSettle(write)
      else if (!full) this.#commitAppend(write, alive)
      else if (alive) write.reject(new this.#options.fullError('The disk is full.'))
    }
  }

  #commitSettle({ owed, key, trigger, seq }: Write & { kind: 'settle' }): void {
    const { disk, onDone } = this.#options
    if (owed !== undefined) disk.owed.set(key, owed)
    else {
      disk.owed.delete(key)
      onDone(trigger, seq)
    }
  }

  #commitAppend({ seq, row, resolve }: Write & { kind: 'append' }, alive: boolean): void {
    const { disk, match } = this.#options
    disk.events.set(seq, row)
    disk.everStored.add(row.event.attributes.id ?? '')
    for (const trigger of match(row.event)) {
      const owed: Owed = { trigger, seq, stage: 'subscriber', attempt: 0, failure: undefined, dueMs: 0, parked: false }
      disk.owed.set(keyOf(trigger, seq), owed)
      if (alive) this.#due(owed)
    }
    if (alive) resolve()
  }

  #schedule(owed: Owed): void {
    const leftMs = owed.dueMs - this.#options.clock.nowMs()
    if (leftMs <= 0) this.#due(owed)
    else this.#options.clock.after(leftMs, () => this.#due(owed))
  }

  #due(owed: Owed): void {
    if (this.#dead) return
    const ready = this.#ready.get(owed.trigger)
    if (ready === undefined) this.#ready.set(owed.trigger, [owed])
    else ready.push(owed)
    if (this.#hungry.delete(owed.trigger)) queueMicrotask(() => this.#listener(owed.trigger))
  }
}

function keyOf(trigger: TriggerId, seq: number): string {
  return `${trigger} ${seq}`
}

/** What is owed after a settlement; undefined: nothing. */
function after(owed: Owed, settlement: StoredSettlement, nowMs: number): Owed | undefined {
  switch (settlement.kind) {
    case 'done':
    case 'discarded':
      return undefined
    case 'returned':
      return owed
    case 'postponed':
      return { ...owed, attempt: settlement.attempt, dueMs: settlement.dueMs }
    case 'dead-letter':
      return { ...owed, stage: 'dead-letter', attempt: 0, failure: settlement.failure, dueMs: nowMs }
    case 'parked':
      return { ...owed, parked: true, failure: settlement.failure }
    default:
      return settlement satisfies never
  }
}
