import type { PingSourceResource } from '../../crds/ping-source.ts'
import { sleep } from '../../runtime/clock.ts'
import { parseSchedule, type Schedule } from '../../runtime/cron.ts'
import { type AdapterDeps, DRAIN_MS, type RunAdapter } from '../adapter.ts'
import { toEvent } from './to-event.ts'

/** The wall clock may be set, and a laptop may sleep: so often it is looked at again. */
const LOOK_MS = 1_000
/** What has been due for longer when it is seen is left out: nobody was there at the time. */
const LATE_MS = 10_000
/** Events that wait for the sink; while there are as many, what comes due is left out, and that is said. */
const MOST_HELD = 100
/** When an event that is refused is offered again. */
const REFUSED_MS = 60_000

/**
 * An event at every time of the schedule, for as long as it runs. What was due while it did not run, or while the machine
 * slept, is not made up for. A sink that takes nothing gets the events that wait once it does; they do not survive the
 * process. A clock that is set back does not make an event twice, unless it is set back by more than 10 s: then the
 * schedule starts anew, and the same times give the same ids.
 * @throws where the schedule cannot be read, which the manifest has checked.
 */
export const runPing: RunAdapter<PingSourceResource> = async ({ source }, deps, signal) => {
  const read = parseSchedule(source.spec.schedule, source.spec.timezone)
  if (read.kind === 'wrong') throw new Error(`spec.${read.what} is wrong: ${read.reason}`)
  await new Ping(source, read.schedule, deps).run(signal)
}

class Ping {
  readonly #source: PingSourceResource
  readonly #schedule: Schedule
  readonly #deps: AdapterDeps
  readonly #held = new Set<Promise<void>>()
  readonly #end = new AbortController()
  #emitted = 0
  #error: string | undefined

  constructor(source: PingSourceResource, schedule: Schedule, deps: AdapterDeps) {
    this.#source = source
    this.#schedule = schedule
    this.#deps = deps
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, drainMs = DRAIN_MS } = this.#deps
    this.#tell()
    let seenMs = clock.nowMs()
    while (!signal.aborted) {
      const dueMs = this.#schedule.next(seenMs)
      const nowMs = clock.nowMs()
      if (nowMs < seenMs - LATE_MS) seenMs = nowMs
      else if (dueMs !== undefined && dueMs <= nowMs) {
        this.#due(dueMs, nowMs)
        seenMs = Math.max(dueMs, nowMs - LATE_MS)
      } else {
        const waitMs = Math.min(LOOK_MS, dueMs === undefined ? LOOK_MS : dueMs - nowMs)
        await sleep(clock, waitMs, signal).catch(() => {})
      }
    }
    const cancel = clock.after(drainMs, () => this.#end.abort(new Error('the adapter stops')))
    await Promise.all(this.#held)
    cancel()
  }

  #due(dueMs: number, nowMs: number): void {
    const facts = { source: this.#name, due: new Date(dueMs).toISOString() }
    if (nowMs - dueMs > LATE_MS) {
      this.#deps.log.warn({ ...facts, lateMs: nowMs - dueMs }, 'a time of the schedule was missed and is left out')
      return
    }
    if (this.#held.size >= MOST_HELD) {
      this.#error = `${MOST_HELD} events wait for the sink, so that of ${facts.due} is left out`
      this.#deps.log.error(
        { ...facts, held: MOST_HELD },
        'the sink takes nothing, so a time of the schedule is left out',
      )
      this.#tell()
      return
    }
    const sent = this.#send(dueMs)
    this.#held.add(sent)
    void sent.then(() => {
      this.#held.delete(sent)
      this.#tell()
    })
    this.#tell()
  }

  /** Never rejects. */
  async #send(dueMs: number): Promise<void> {
    const { clock, emit, log } = this.#deps
    const event = toEvent(this.#source, dueMs)
    const { signal } = this.#end
    const facts = { source: this.#name, event: event.attributes.id }
    try {
      for (;;) {
        const emitted = await emit(event, signal)
        if (emitted.kind !== 'refused') break
        this.#error = `the sink ${emitted.reason}; the event of ${event.attributes.id} is offered again`
        log.error({ ...facts, reason: emitted.reason }, 'the sink refuses an event')
        this.#tell()
        await sleep(clock, REFUSED_MS, signal)
      }
      this.#emitted++
      this.#error = undefined
    } catch (error) {
      if (!signal.aborted) this.#error = error instanceof Error ? error.message : String(error)
      log.warn({ ...facts, reason: this.#error ?? 'the adapter stops' }, 'an event was not delivered and is gone')
    }
  }

  get #name(): string {
    const { namespace, name } = this.#source.metadata
    return `${namespace}/${name}`
  }

  #tell(): void {
    this.#deps.report({ ready: true, error: this.#error, held: this.#held.size, emitted: this.#emitted })
  }
}
