import { headText } from '../../../event/stored.ts'
import type { Held } from '../ready-queue.ts'
import { type Change, type CommitRequest, type Committed, HEAD, type Key, type StoredAttempt } from './protocol.ts'

/** A group that has this much is sent; what comes next goes into another. */
export const GROUP_MAX_BYTES = 4 << 20
export const GROUP_MAX_EVENTS = 2048

/** Buffers larger than this are not kept for another group. */
const KEPT_BYTES = 1 << 20
const FIRST_BYTES = 128 << 10

export interface Buffers {
  readonly heads: Float64Array<ArrayBuffer>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly done: Float64Array<ArrayBuffer>
}

export function newBuffers(): Buffers {
  return { heads: new Float64Array(1024), bytes: new Uint8Array(FIRST_BYTES), done: new Float64Array(512) }
}

/** The buffers of an answered request, unless they grew too large to be kept. */
export function reusable({ heads, bytes, done }: Committed): Buffers | undefined {
  const size = heads.byteLength + bytes.byteLength + done.byteLength
  return size <= KEPT_BYTES ? { heads, bytes, done } : undefined
}

/** Events and settlements that will share one transaction and one fsync, encoded as they come. */
export class Group {
  events = 0
  bytesLength = 0
  doneLength = 0
  changes: Change[] = []
  attempts: StoredAttempt[] = []
  brokers: (readonly [Key, string])[] = []
  ageTo = 0
  #heads: Float64Array<ArrayBuffer>
  #headsLength = 0
  #bytes: Buffer<ArrayBuffer>
  #done: Float64Array<ArrayBuffer>

  constructor({ heads, bytes, done }: Buffers) {
    this.#heads = heads
    this.#bytes = Buffer.from(bytes.buffer)
    this.#done = done
  }

  get settlements(): number {
    return this.doneLength / 2 + this.changes.length + this.attempts.length
  }

  get isFull(): boolean {
    return this.bytesLength >= GROUP_MAX_BYTES || this.events >= GROUP_MAX_EVENTS
  }

  /** Returns how many bytes the event takes. */
  add(held: Held, broker: Key, owed: readonly { readonly key: Key }[]): number {
    const { body, mode } = held.event
    const text = headText(held.event)
    // UTF-8 takes at most three bytes for a UTF-16 unit.
    this.#room(text.length * 3 + body.byteLength)
    const textBytes = this.#bytes.write(text, this.bytesLength, 'utf8')
    this.#bytes.set(body, this.bytesLength + textBytes)
    this.bytesLength += textBytes + body.byteLength

    if (this.#headsLength + HEAD + owed.length > this.#heads.length) this.#heads = grown(this.#heads, owed.length)
    const heads = this.#heads
    let at = this.#headsLength
    heads[at++] = held.seq
    heads[at++] = held.acceptedMs
    heads[at++] = broker
    heads[at++] = held.hops
    heads[at++] = mode === 'structured' ? 1 : 0
    heads[at++] = textBytes
    heads[at++] = body.byteLength
    heads[at++] = owed.length
    for (const { key } of owed) heads[at++] = key
    this.#headsLength = at
    this.events++
    return textBytes + body.byteLength
  }

  done(trigger: Key, seq: number): void {
    if (this.doneLength + 2 > this.#done.length) this.#done = grown(this.#done, 0)
    this.#done[this.doneLength++] = trigger
    this.#done[this.doneLength++] = seq
  }

  /** The settlements of `earlier`, which found no room, come before those of this group. */
  takeOver(earlier: Group, done: Float64Array): void {
    for (let i = 0; i < earlier.doneLength; i += 2) this.done(done[i] ?? 0, done[i + 1] ?? 0)
    this.changes = [...earlier.changes, ...this.changes]
    this.attempts = [...earlier.attempts, ...this.attempts]
    this.brokers = [...earlier.brokers, ...this.brokers]
    this.ageTo = Math.max(this.ageTo, earlier.ageTo)
  }

  /** The message, and what is transferred with it. The group's buffers are gone after it was sent. */
  request(): { readonly request: CommitRequest; readonly transfer: ArrayBuffer[] } {
    const { events, doneLength, changes, attempts, brokers, ageTo } = this
    const bytes = new Uint8Array(this.#bytes.buffer)
    const request: CommitRequest = {
      kind: 'commit',
      events,
      heads: this.#heads,
      bytes,
      done: this.#done,
      doneLength,
      changes,
      attempts,
      brokers,
      ageTo,
    }
    return { request, transfer: [this.#heads.buffer, bytes.buffer, this.#done.buffer] }
  }

  #room(bytes: number): void {
    const needed = this.bytesLength + bytes
    if (needed <= this.#bytes.byteLength) return
    const larger = Buffer.from(new ArrayBuffer(Math.max(needed, this.#bytes.byteLength * 2)))
    larger.set(this.#bytes.subarray(0, this.bytesLength))
    this.#bytes = larger
  }
}

function grown(array: Float64Array, extra: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(array.length * 2 + extra)
  larger.set(array)
  return larger
}
