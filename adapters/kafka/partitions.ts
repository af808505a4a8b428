import type { GroupListener, GroupMember, KafkaRecord, TopicPartition } from '../../clients/kafka/group.ts'
import type { Cancel } from '../../runtime/clock.ts'
import { type AdapterDeps, DRAIN_MS } from '../adapter.ts'
import { Partition, type PartitionDeps } from './partition.ts'
import { type FromTopic, toEvent } from './to-event.ts'

export interface PartitionsOptions {
  /** For the log. */
  readonly group: string
  readonly ordering: 'ordered' | 'unordered'
  readonly from: FromTopic
}

/** Commits are this far apart, but for those that somebody waits for. */
const COMMIT_EVERY_MS = 200
/** The group waits no longer than this for events in flight when it is shared out anew; those still in flight may come twice. */
const LEAVING_MAX_MS = 5_000
/** The end of a drain, kept for the last commit and for leaving: at most, and as a part of the whole. */
const LAST_COMMIT_MAX_MS = 2_000
const LAST_COMMIT_PART = 0.2
/** How long a loss upstream stays in what is told. */
const LOSS_SHOWN_MS = 600_000

/**
 * Every partition that is ours, over all connections: what it holds is kept while a connection is lost, and what comes
 * again is known again.
 */
export class Partitions implements GroupListener {
  readonly #options: PartitionsOptions
  readonly #deps: AdapterDeps
  readonly #partitions = new Map<string, Partition>()
  readonly #full = new Set<Partition>()
  readonly #broken = new AbortController()
  #member: GroupMember | undefined
  #committing: Promise<void> | undefined
  #commitTimer: Cancel | undefined
  #lastCommitMs = Number.NEGATIVE_INFINITY
  #stopping = false
  #ready = false
  #emitted = 0
  #connectionError: string | undefined
  #loss: string | undefined
  #lossUntilMs = 0

  constructor(options: PartitionsOptions, deps: AdapterDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** Aborts for what should not happen: a mistake in this code. */
  get broken(): AbortSignal {
    return this.#broken.signal
  }

  /** Commits go to this one from now on; undefined: to nobody. */
  use(member: GroupMember | undefined): void {
    this.#member = member
    for (const partition of this.#full) member?.pause(partition.at)
    this.#scheduleCommit()
  }

  async leaving(): Promise<void> {
    const all = [...this.#partitions.values()]
    for (const partition of all) partition.pause()
    await this.#idle(all, LEAVING_MAX_MS)
    await this.#commit()
  }

  assigned(partitions: readonly TopicPartition[]): void {
    const ours = new Set(partitions.map(keyOf))
    for (const [key, partition] of this.#partitions) {
      if (ours.has(key)) continue
      this.#forget(key, partition)
    }
    for (const partition of this.#partitions.values()) if (!this.#stopping) partition.carryOn()
    for (const partition of this.#full) this.#member?.pause(partition.at)
    this.#tell()
  }

  records(at: TopicPartition, records: readonly KafkaRecord[]): void {
    const key = keyOf(at)
    let partition = this.#partitions.get(key)
    if (partition?.take(records) === false) {
      this.#deps.log.warn(
        { ...at, group: this.#options.group },
        'a partition begins anew: its topic or position changed',
      )
      this.#forget(key, partition)
      partition = undefined
    }
    if (partition === undefined) {
      partition = new Partition(at, this.#partitionDeps())
      this.#partitions.set(key, partition)
      if (this.#stopping) partition.pause()
      partition.take(records)
    }
    if (partition.isFull) {
      this.#full.add(partition)
      this.#member?.pause(at)
    }
    this.#tell()
  }

  outOfRange(at: TopicPartition): void {
    this.#loss = `records of ${at.topic}/${at.partition} were deleted before they were read: reading goes on at the earliest one that is left; give the topic a longer retention or the source more consumers`
    this.#deps.log.error({ ...at, group: this.#options.group }, 'records were deleted before they were read')
    this.#lossUntilMs = this.#deps.clock.monotonicMs() + LOSS_SHOWN_MS
    this.#tell()
  }

  /** Finishes what is in flight, within the time of a drain, commits it and lets go of the rest. Called once. */
  async drain(): Promise<void> {
    const { drainMs = DRAIN_MS } = this.#deps
    this.#stopping = true
    const all = [...this.#partitions.values()]
    for (const partition of all) {
      partition.pause()
      this.#member?.pause(partition.at)
    }
    await this.#idle(all, drainMs - Math.min(LAST_COMMIT_MAX_MS, drainMs * LAST_COMMIT_PART))
    for (const partition of all) partition.giveUp()
    await this.#commit()
    this.#partitions.clear()
    this.#commitTimer?.()
    this.#tell()
  }

  tellConnection(error: string | undefined, ready: boolean): void {
    this.#connectionError = error
    this.#ready = ready
    this.#tell()
  }

  get isReady(): boolean {
    return this.#ready
  }

  #partitionDeps(): PartitionDeps {
    const { from, ordering, group } = this.#options
    const { emit, emitInOrder, clock, random, log } = this.#deps
    return {
      ...{ emit, emitInOrder, clock, random, ordering },
      toEvent: (record, at) => toEvent(record, at, from),
      onTaken: () => {
        this.#emitted++
      },
      onChange: partition => this.#changed(partition),
      onRefused: (at, offset, { reason }) =>
        log.error({ ...at, offset: String(offset), group, reason }, 'a record cannot be delivered and is held'),
      onBroken: error => this.#broken.abort(error),
    }
  }

  #changed(partition: Partition): void {
    if (this.#full.has(partition) && partition.isHalfEmpty && !this.#stopping) {
      this.#full.delete(partition)
      this.#member?.resume(partition.at)
    }
    this.#scheduleCommit()
    this.#tell()
  }

  #forget(key: string, partition: Partition): void {
    partition.giveUp()
    this.#full.delete(partition)
    this.#partitions.delete(key)
  }

  #scheduleCommit(): void {
    if (this.#member === undefined || this.#commitTimer !== undefined || !this.#owes()) return
    const waitMs = this.#lastCommitMs + COMMIT_EVERY_MS - this.#deps.clock.monotonicMs()
    this.#commitTimer = this.#deps.clock.after(Math.max(0, waitMs), () => {
      this.#commitTimer = undefined
      void this.#commit()
    })
  }

  #owes(): boolean {
    return [...this.#partitions.values()].some(partition => partition.owed !== undefined)
  }

  /** Commits all that is taken, after a commit that is under way. Never rejects: what is not committed now is later. */
  async #commit(): Promise<void> {
    while (this.#committing !== undefined) await this.#committing
    const member = this.#member
    if (member === undefined) return
    this.#committing = this.#commitTo(member).finally(() => {
      this.#committing = undefined
      this.#lastCommitMs = this.#deps.clock.monotonicMs()
    })
    await this.#committing
    if (!this.#stopping) this.#scheduleCommit()
  }

  async #commitTo(member: GroupMember): Promise<void> {
    const owing = [...this.#partitions.values()].flatMap(partition => {
      const offset = partition.owed
      return offset === undefined ? [] : [{ partition, offset }]
    })
    if (owing.length === 0) return
    const committed = await member.commit(owing.map(({ partition, offset }) => ({ ...partition.at, offset })))
    if (committed.kind === 'trouble') {
      this.#deps.log.warn({ group: this.#options.group, reason: committed.reason }, 'offsets could not be committed')
      return
    }
    for (const { partition, offset } of owing) partition.confirm(offset)
  }

  /** Waits until nothing is being sent, and no longer than `mostMs`. */
  async #idle(partitions: readonly Partition[], mostMs: number): Promise<void> {
    const late = new AbortController()
    const cancel = this.#deps.clock.after(mostMs, () => late.abort(new Error('it takes too long')))
    await Promise.all(partitions.map(partition => partition.idle(late.signal)))
    cancel()
  }

  #tell(): void {
    if (this.#loss !== undefined && this.#deps.clock.monotonicMs() > this.#lossUntilMs) this.#loss = undefined
    const all = [...this.#partitions.values()]
    this.#deps.report({
      ready: this.#ready,
      error: this.#connectionError ?? all.find(partition => partition.refused)?.refused ?? this.#loss,
      held: all.reduce((sum, { held }) => sum + held, 0),
      emitted: this.#emitted,
    })
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}
