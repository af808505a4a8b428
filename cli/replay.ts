import type { CountView, StoredEventsView, StoredEventView } from '../contract/api.ts'
import { getOne, openPoster, postOne } from './api.ts'
import { EXIT, Failure } from './failure.ts'
import { pathOfName, timeOf } from './names.ts'
import { openPace } from './pace.ts'
import { findConsole, httpUrl } from './place.ts'
import { clockText } from './time.ts'

export interface ReplayOptions {
  readonly broker: string
  /** A time, an age, or `seq:N`. */
  readonly from: string
  readonly to?: string
  readonly toTrigger?: string
  readonly toUrl?: string
  readonly type?: string
  readonly source?: string
  readonly rate?: number
  readonly dryRun?: boolean
  readonly console?: string
}

const PAGE = 500

/** `weir replay`: what is kept goes again to one Trigger, or to an address. Counts first. @throws {Failure} */
export async function replay(options: ReplayOptions): Promise<number> {
  const { toTrigger, toUrl } = options
  if ((toTrigger === undefined) === (toUrl === undefined)) {
    throw new Failure(
      'wrongInput',
      'where to? One of --to-trigger and --to-url',
      'weir replay --from 1h --to-trigger orders',
    )
  }
  const origin = await findConsole(options.console, process.cwd())
  const range = rangeOf(options)
  const counted = {
    events: 0,
    bytes: 0,
    first: undefined as StoredEventView | undefined,
    last: undefined as StoredEventView | undefined,
  }
  for await (const one of stored(origin, options, range, false)) {
    counted.events++
    counted.bytes += one.bytes
    counted.first ??= one
    counted.last = one
  }
  const { events, bytes, first, last } = counted
  const where = toUrl ?? `Trigger ${toTrigger}`
  const span =
    first === undefined || last === undefined
      ? ''
      : `, ${clockText(first.acceptedMs)} to ${clockText(last.acceptedMs)}, seq ${first.seq} to ${last.seq}`
  process.stderr.write(`${events} events (${bytes} bytes${span}) for ${where}\n`)
  if (options.dryRun === true || events === 0) {
    process.stdout.write(`${events}\n`)
    return EXIT.done
  }
  // What comes meanwhile is not part of it.
  return await run(origin, options, { ...range, toSeq: last?.seq ?? range.toSeq }, events)
}

interface Range {
  readonly after: number
  readonly toSeq: number
  readonly sinceMs: number | undefined
  readonly untilMs: number | undefined
}

function rangeOf({ from, to }: ReplayOptions): Range {
  const seq = (text: string | undefined) => (text?.startsWith('seq:') ? Number(text.slice(4)) : undefined)
  const [fromSeq, toSeq] = [seq(from), seq(to)]
  if (Number.isNaN(fromSeq) || Number.isNaN(toSeq)) throw new Failure('wrongInput', 'a seq is written as seq:123')
  const nowMs = Date.now()
  return {
    after: fromSeq === undefined ? 0 : Math.max(0, fromSeq - 1),
    toSeq: toSeq ?? Number.MAX_SAFE_INTEGER,
    sinceMs: fromSeq === undefined ? timeOf(from, nowMs) : undefined,
    untilMs: to === undefined || toSeq !== undefined ? undefined : timeOf(to, nowMs),
  }
}

async function run(origin: string, options: ReplayOptions, range: Range, total: number): Promise<number> {
  const { toTrigger, toUrl, rate } = options
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once('SIGINT', interrupt)
  const pace = openPace(rate)
  await using poster = openPoster(1)
  let [done, lastSeq] = [0, range.after]
  const send = async (batch: readonly StoredEventView[]) => {
    const seqs = batch.map(one => one.seq)
    if (toTrigger !== undefined) {
      done += (
        await postOne<CountView>(
          origin,
          `triggers/${pathOfName(toTrigger, '--to-trigger')}/redrive`,
          { seqs },
          stop.signal,
        )
      ).events
      lastSeq = seqs.at(-1) ?? lastSeq
      return
    }
    for (const { seq, event } of batch) {
      const headers = ['content-type', 'application/cloudevents+json; charset=utf-8']
      const url = httpUrl(toUrl ?? '', '--to-url').href
      const { status, reason } = await poster.post(url, headers, Buffer.from(JSON.stringify(event)), stop.signal)
      if (status < 200 || status > 299)
        throw new Failure('failed', `${url} answered ${status} to seq ${seq}: ${reason}`)
      done++
      lastSeq = seq
    }
  }
  try {
    let batch: StoredEventView[] = []
    const flush = async () => {
      for (const part of pace.parts(batch)) {
        stop.signal.throwIfAborted()
        await pace.wait(part.length)
        await send(part)
        if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total}`)
      }
      batch = []
    }
    for await (const one of stored(origin, options, range, toUrl !== undefined)) {
      batch.push(one)
      if (batch.length >= PAGE) await flush()
    }
    await flush()
  } catch (error) {
    const advice = `go on with: weir replay --from seq:${lastSeq + 1} …`
    if (stop.signal.aborted) throw new Failure('failed', `stopped after ${done} of ${total}`, advice)
    if (error instanceof Failure) throw new Failure(error.code, error.message, error.advice ?? advice)
    throw error
  } finally {
    process.off('SIGINT', interrupt)
    if (process.stderr.isTTY) process.stderr.write('\r')
  }
  const left = total - done
  process.stdout.write(`${done} replayed${left > 0 ? `; ${left} were on their way to it already` : ''}\n`)
  return EXIT.done
}

async function* stored(
  origin: string,
  options: ReplayOptions,
  range: Range,
  data: boolean,
): AsyncGenerator<StoredEventView> {
  const { broker, toTrigger, type, source } = options
  const trigger = toTrigger === undefined ? undefined : pathOfName(toTrigger, '--to-trigger')
  const path = trigger === undefined ? pathOfName(broker, '--broker') : await brokerOf(origin, trigger)
  let after: number | null = range.after
  while (after !== null) {
    const query: Record<string, string> = { after: String(after), limit: String(PAGE) }
    if (type !== undefined) query.type = type
    if (source !== undefined) query.source = source
    if (trigger !== undefined) query.trigger = trigger.slice(trigger.indexOf('/') + 1)
    if (range.sinceMs !== undefined) query.since = String(Math.max(0, range.sinceMs))
    if (range.untilMs !== undefined) query.until = String(Math.max(0, range.untilMs))
    if (data) query.data = '1'
    const page: StoredEventsView = await getOne(origin, `brokers/${path}/events?${new URLSearchParams(query)}`)
    for (const one of page.events) {
      if (one.seq > range.toSeq) return
      if (!one.damaged) yield one
    }
    after = page.next
  }
}

/** A Trigger is given the events of its own Broker. */
async function brokerOf(origin: string, trigger: string): Promise<string> {
  const all = await getOne<readonly { namespace: string; name: string; broker: string }[]>(origin, 'triggers')
  const found = all.find(one => `${one.namespace}/${one.name}` === trigger)
  if (found === undefined) throw new Failure('failed', `there is no Trigger ${trigger}`, 'weir get triggers lists them')
  return `${found.namespace}/${found.broker}`
}
