import { type LoadResult, load, type Sink } from './load.ts'
import type { Measured } from './process.ts'

/** A server and where its events go. */
export interface Subject {
  readonly server: Measured
  readonly path: string
}

export interface Load {
  readonly connections: number
  readonly total: number
  readonly perSecond?: number
  /** Requests that the sink gets for one event. */
  readonly deliveries: number
}

export interface Round extends LoadResult {
  /** CPU of the process, all threads, deliveries included, µs for an accepted event. */
  readonly cpuUs: number
  /** The part of it that the busiest thread has: with cores enough, no more than 1 s / this come through. */
  readonly busiestUs: number
  /** From the first event sent to the last one delivered, events per second. */
  readonly perSecond: number
}

/** One load on one server, until the last event has arrived. */
export async function round({ server, path }: Subject, sink: Sink, options: Load): Promise<Round> {
  const { deliveries, ...rest } = options
  const before = server.cpuMs()
  const threads = server.threadsMs()
  const received = sink.received()
  const beganMs = performance.now()
  const result = await load({ port: server.port, path, ...rest })
  await sink.reached(received + options.total * deliveries, 60_000)
  const seconds = (performance.now() - beganMs) / 1000
  await new Promise(resolve => setTimeout(resolve, 200)) // what is still to be settled belongs to these events too
  const cpuUs = ((server.cpuMs() - before) * 1000) / options.total
  const busiestMs = Math.max(...[...server.threadsMs()].map(([id, ms]) => ms - (threads.get(id) ?? 0)))
  return { ...result, cpuUs, busiestUs: (busiestMs * 1000) / options.total, perSecond: options.total / seconds }
}

/** The same load on each of `subjects` in turn, `rounds` times over, so that noise hits all of them. */
export async function alternate(
  subjects: readonly Subject[],
  rounds: number,
  one: (subject: Subject) => Promise<Round>,
): Promise<readonly (readonly Round[])[]> {
  const found: Round[][] = subjects.map(() => [])
  for (let i = 0; i < rounds; i++) {
    for (const [at, subject] of subjects.entries()) found[at]?.push(await one(subject))
  }
  return found
}
