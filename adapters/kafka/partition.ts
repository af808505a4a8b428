import type { KafkaRecord, TopicPartition } from '../../clients/kafka/group.ts'
import type { CloudEvent } from '../../event/event.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Emit, EmitInOrder, EmittedInOrder, Refused } from '../adapter.ts'
import { type Backoff, backoffMs } from '../backoff.ts'

export interface PartitionDeps {
  readonly emit: Emit
  readonly emitInOrder: EmitInOrder
  readonly clock: Clock
  readonly random: () => number
  readonly ordering: 'ordered' | 'unordered'
  readonly toEvent: (record: KafkaRecord, at: TopicPartition) => CloudEvent
  /** Told when somebody has an event. */
  readonly onTaken: () => void
  /** Told after anything has changed. */
  readonly onChange: (partition: Partition) => void
  /** Told, each time it is so, that nobody takes the event of a record. */
  readonly onRefused: (at: TopicPartition, offset: bigint, refused: Refused) => void
  /** Told of what should not happen: a mistake in this code. */
  readonly onBroken: (error: unknown) => void
}

interface Item {
  readonly record: KafkaRecord
  readonly bytes: number
  /** `resting`: it was refused, and is offered again in a while. */
  state: 'waiting' | 'sent' | 'resting' | 'done'
  refusals: number
}

/** Where there is more than this, no more is read until half of it is gone. */
const QUEUE_RECORDS = 1000
const QUEUE_BYTES = 2 * 1024 * 1024
/** Events of one partition at once, without an order (as Knative's `max.poll.records`). */
const IN_FLIGHT = 50
/** Events in order that are handed over at once: as many as take a moment, so that a sink that is slow is soon let go. */
const GROUP_MAX = 100
const GROUP_SHORT_MS = 40
const GROUP_LONG_MS = 160
/** How long an event rests that nobody takes: the first time, and at most. */
const REFUSED: Backoff = { minMs: 1_000, maxMs: 60_000 }

/**
 * The records of one partition on their way: what waits, what is being sent, and up to where all is taken. What is refused
 * is offered again for as long as it takes; in order, those behind it wait.
 */
export class Partition {
  readonly at: TopicPartition
  readonly #deps: PartitionDeps
  readonly #stop = new AbortController()
  /** By offset, from the first one whose commit is not confirmed. */
  #items: Item[] = []
  /** In `#items`: those before it are taken, all of them. */
  #taken = 0
  /** Why, of those that were refused and that nobody has taken since. */
  readonly #refused = new Map<Item, string>()
  #held = 0
  #heldBytes = 0
  #sending = 0
  #resting = 0
  #paused = false
  /** How many events go in order at once. */
  #group = 1
  #committed: bigint | undefined
  #changed = Promise.withResolvers<void>()

  constructor(at: TopicPartition, deps: PartitionDeps) {
    this.at = at
    this.#deps = deps
  }

  /** Records whose events nobody has taken yet. */
  get held(): number {
    return this.#held
  }

  /** Why an event is held, in words. */
  get refused(): string | undefined {
    return this.#refused.values().next().value
  }

  get isFull(): boolean {
    return this.#held >= QUEUE_RECORDS || this.#heldBytes >= QUEUE_BYTES
  }

  get isHalfEmpty(): boolean {
    return this.#held <= QUEUE_RECORDS / 2 && this.#heldBytes <= QUEUE_BYTES / 2
  }

  /** What to commit: the offset after the last one before which all are taken. Undefined where that is confirmed. */
  get owed(): bigint | undefined {
    return this.#items[this.#taken - 1]?.record.next
  }

  /**
   * Takes over the next records. What comes again after a rebalance, and is held here, is not taken twice.
   * @returns false where they do not follow what is held, because the topic was made anew or its position was moved: then
   * nothing was taken over, and this partition is to be replaced.
   */
  take(records: readonly KafkaRecord[]): boolean {
    const fresh: KafkaRecord[] = []
    let next = this.#items.at(-1)?.record.next ?? this.#committed ?? 0n
    for (const record of records) {
      if (record.offset >= next) {
        fresh.push(record)
        next = record.next
      } else if (!this.#holds(record)) return false
    }
    for (const record of fresh) {
      const bytes = sizeOf(record)
      this.#items.push({ record, bytes, state: 'waiting', refusals: 0 })
      this.#held++
      this.#heldBytes += bytes
    }
    this.#pump()
    return true
  }

  /** Those before `offset` will not come again. */
  confirm(offset: bigint): void {
    this.#committed = offset
    const left = this.#items.findIndex(({ record }) => record.offset >= offset)
    const gone = left < 0 ? this.#items.length : left
    this.#items.splice(0, gone)
    this.#taken -= gone
  }

  /** Starts nothing new until `carryOn`. */
  pause(): void {
    this.#paused = true
  }

  carryOn(): void {
    this.#paused = false
    this.#pump()
  }

  /** Waits until nothing is being sent, or `signal` aborts. What was refused and rests is not being sent. */
  async idle(signal: AbortSignal): Promise<void> {
    const { promise: stopped, resolve } = Promise.withResolvers<void>()
    const stop = () => resolve()
    signal.addEventListener('abort', stop, { once: true })
    while (this.#sending > 0 && !signal.aborted) await Promise.race([this.#changed.promise, stopped])
    signal.removeEventListener('abort', stop)
  }

  /** Gives up everything that nobody has taken. What is being sent is cut off, its outcome unknown. */
  giveUp(): void {
    this.#paused = true
    this.#stop.abort(new Error('the partition is given up'))
  }

  #holds(record: KafkaRecord): boolean {
    const held = this.#items.find(item => item.record.offset === record.offset)
    return held !== undefined && isSame(held.record, record)
  }

  #pump(): void {
    const most = this.#deps.ordering === 'ordered' ? 1 : IN_FLIGHT
    while (!this.#paused && this.#sending + this.#resting < most) {
      let first = this.#taken
      while (first < this.#items.length && this.#items[first]?.state !== 'waiting') first++
      if (first === this.#items.length) return
      const items = this.#items.slice(first, first + (most === 1 ? this.#group : 1))
      for (const item of items) item.state = 'sent'
      this.#sending++
      void this.#send(items)
    }
  }

  /** Never rejects. */
  async #send(items: readonly Item[]): Promise<void> {
    const { clock } = this.#deps
    const startMs = clock.monotonicMs()
    try {
      const { taken, refused } = await this.#emit(items)
      for (const item of items.slice(0, taken)) this.#done(item)
      for (const item of items.slice(taken)) item.state = 'waiting'
      const at = items[taken]
      if (refused !== undefined && at !== undefined) this.#hold(at, refused)
      this.#adapt(clock.monotonicMs() - startMs)
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#deps.onBroken(error)
    }
    this.#sending--
    this.#pump()
    this.#tell()
  }

  async #emit(items: readonly Item[]): Promise<EmittedInOrder> {
    const { emit, emitInOrder, toEvent, ordering } = this.#deps
    const events = items.map(({ record }) => toEvent(record, this.at))
    const { signal } = this.#stop
    const [only] = events
    if (ordering === 'ordered' || only === undefined) return emitInOrder(events, signal)
    const emitted = await emit(only, signal)
    return emitted.kind === 'refused' ? { taken: 0, refused: emitted } : { taken: 1, refused: undefined }
  }

  #adapt(tookMs: number): void {
    if (tookMs < GROUP_SHORT_MS) this.#group = Math.min(GROUP_MAX, this.#group * 2)
    else if (tookMs > GROUP_LONG_MS) this.#group = Math.max(1, Math.floor(this.#group / 4))
  }

  #done(item: Item): void {
    item.state = 'done'
    this.#refused.delete(item)
    this.#held--
    this.#heldBytes -= item.bytes
    while (this.#items[this.#taken]?.state === 'done') this.#taken++
    this.#deps.onTaken()
  }

  /** It is no sending: a rebalance and a drain do not wait for it. */
  #hold(item: Item, refused: Refused): void {
    const { clock, random, onRefused } = this.#deps
    const { topic, partition } = this.at
    item.state = 'resting'
    this.#resting++
    this.#refused.set(
      item,
      `record ${topic}/${partition}/${item.record.offset} is refused (${refused.reason}): its partition is held and it is offered again; give the source a dead-letter sink (\`delivery.deadLetterSink\`)`,
    )
    onRefused(this.at, item.record.offset, refused)
    const again = () => {
      this.#resting--
      item.state = 'waiting'
      this.#pump()
    }
    sleep(clock, backoffMs(item.refusals++, REFUSED, random), this.#stop.signal).then(again, () => {})
  }

  #tell(): void {
    const { resolve } = this.#changed
    this.#changed = Promise.withResolvers()
    resolve()
    this.#deps.onChange(this)
  }
}

/** A record costs more than its bytes. */
const RECORD_BYTES = 200

function sizeOf({ key, value, headers }: KafkaRecord): number {
  let bytes = RECORD_BYTES + (key?.byteLength ?? 0) + (value?.byteLength ?? 0)
  for (const [name, text] of headers) bytes += name.length + text.byteLength
  return bytes
}

/** The same place in another topic of the same name holds something else. */
function isSame(a: KafkaRecord, b: KafkaRecord): boolean {
  return a.timestampMs === b.timestampMs && isEqual(a.key, b.key) && isEqual(a.value, b.value)
}

function isEqual(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.equals(b))
}
