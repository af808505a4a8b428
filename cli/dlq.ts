import { createInterface } from 'node:readline/promises'
import type { CountView, OwedEventsView, OwedEventView } from '../contract/api.ts'
import { getLines, getOne, postOne } from './api.ts'
import { EXIT, Failure } from './failure.ts'
import { pathOfName, seqsOf } from './names.ts'
import { openPace } from './pace.ts'
import { findConsole } from './place.ts'
import { paintFor } from './style.ts'
import { type Column, tableLines } from './table.ts'
import { ageText } from './time.ts'

export interface DlqOptions {
  readonly state: 'parked' | 'dead-lettered' | 'retrying'
  readonly type?: string
  readonly source?: string
  readonly id?: string
  readonly text?: string
  readonly limit: number
  readonly output: 'table' | 'wide' | 'json' | 'yaml' | 'name'
  readonly all?: boolean
  readonly rate?: number
  readonly yes?: boolean
  readonly console?: string
}

const PAGE = 500

const columns: readonly Column<OwedEventView>[] = [
  { title: 'SEQ', of: row => row.seq, tone: () => 'strong' },
  { title: 'AGE', of: row => ageText(Date.now() - row.acceptedMs) },
  { title: 'TYPE', of: row => row.attributes.type ?? '' },
  { title: 'ID', of: row => row.attributes.id ?? '' },
  { title: 'ATTEMPTS', of: row => row.delivery.attempts.length || '-' },
  { title: 'CODE', of: row => row.delivery.failure?.code ?? row.delivery.attempts.at(-1)?.status ?? '-' },
  { title: 'WHY', of: row => row.delivery.failure?.data || (row.delivery.attempts.at(-1)?.words ?? ''), whole: false },
  { title: 'SOURCE', of: row => row.attributes.source ?? '', wide: true },
  { title: 'DESTINATION', of: row => row.delivery.failure?.destination ?? '-', wide: true },
]

/** `weir dlq list TRIGGER`. @throws {Failure} */
export async function listOwed(trigger: string, options: DlqOptions): Promise<number> {
  const origin = await findConsole(options.console, process.cwd())
  const rows: OwedEventView[] = []
  let more = false
  for await (const page of pages(origin, pathOfName(trigger, 'TRIGGER'), options)) {
    rows.push(...page.events)
    more = page.next !== null
    if (rows.length >= options.limit) break
  }
  const shown = rows.slice(0, options.limit)
  await print(shown, options)
  if (shown.length === 0) process.stderr.write(`nothing of ${trigger} is ${options.state}\n`)
  else if (more || rows.length > shown.length) process.stderr.write('there is more: --limit\n')
  return EXIT.done
}

/** `weir dlq redrive TRIGGER [SEQ…|--all]`. @throws {Failure} */
export async function redrive(trigger: string, words: readonly string[], options: DlqOptions): Promise<number> {
  return await change(trigger, words, options, 'redrive', 'redriven')
}

/** `weir dlq discard TRIGGER [SEQ…|--all]`: asks first on a terminal. @throws {Failure} */
export async function discard(trigger: string, words: readonly string[], options: DlqOptions): Promise<number> {
  if (options.yes !== true) {
    if (process.stdin.isTTY !== true) throw new Failure('wrongInput', 'discarding cannot be undone', 'add --yes')
    const what = options.all === true ? `everything that is parked for ${trigger}` : `${words.length} of ${trigger}`
    const asked = createInterface({ input: process.stdin, output: process.stderr })
    const said = await asked.question(`Discard ${what}? It cannot be undone. [y/N] `)
    asked.close()
    if (!/^y(es)?$/i.test(said.trim())) return EXIT.failed
  }
  return await change(trigger, words, options, 'discard', 'discarded')
}

/** `weir dlq export TRIGGER`: structured CloudEvents, one a line. @throws {Failure} */
export async function exportOwed(trigger: string, options: DlqOptions): Promise<number> {
  const origin = await findConsole(options.console, process.cwd())
  let events = 0
  for await (const line of getLines(origin, `triggers/${pathOfName(trigger, 'TRIGGER')}/${options.state}/export`)) {
    if (!process.stdout.write(`${line}\n`)) await new Promise(resolve => process.stdout.once('drain', resolve))
    events++
  }
  process.stderr.write(`${events} events\n`)
  return EXIT.done
}

async function change(
  trigger: string,
  words: readonly string[],
  options: DlqOptions,
  action: 'redrive' | 'discard',
  done: string,
): Promise<number> {
  const chosen = seqsOf(words)
  if (chosen.length === 0 && options.all !== true) {
    throw new Failure('wrongInput', `which events of ${trigger}?`, `weir dlq ${action} ${trigger} SEQ…, or --all`)
  }
  const path = pathOfName(trigger, 'TRIGGER')
  const origin = await findConsole(options.console, process.cwd())
  const pace = openPace(options.rate)
  let [events, asked] = [0, 0]
  const progress = () => process.stderr.isTTY && process.stderr.write(`\r${events} ${done}`)
  for await (const seqs of chosen.length > 0 ? [chosen] : allSeqs(origin, path, options)) {
    for (const part of pace.parts(seqs)) {
      await pace.wait(part.length)
      events += (await postOne<CountView>(origin, `triggers/${path}/${action}`, { seqs: part })).events
      asked += part.length
      progress()
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r')
  process.stdout.write(
    `${events} ${done}${asked > events ? `; ${asked - events} were not ${options.state} any more` : ''}\n`,
  )
  return events < asked && chosen.length > 0 ? EXIT.failed : EXIT.done
}

async function* allSeqs(origin: string, path: string, options: DlqOptions): AsyncGenerator<number[]> {
  for await (const page of pages(origin, path, options)) yield page.events.map(one => one.seq)
}

async function* pages(origin: string, path: string, options: DlqOptions): AsyncGenerator<OwedEventsView> {
  const { state, type, source, id, text } = options
  const query = new URLSearchParams({ limit: String(PAGE) })
  for (const [name, value] of Object.entries({ type, source, id, text }))
    if (value !== undefined) query.set(name, value)
  let after: number | null = 0
  while (after !== null) {
    query.set('after', String(after))
    const page: OwedEventsView = await getOne<OwedEventsView>(origin, `triggers/${path}/${state}?${query}`)
    yield page
    after = page.next
  }
}

async function print(rows: readonly OwedEventView[], { output }: DlqOptions): Promise<void> {
  if (output === 'json') process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
  else if (output === 'yaml') process.stdout.write((await import('yaml')).stringify(rows))
  else if (output === 'name') for (const { seq } of rows) process.stdout.write(`${seq}\n`)
  else if (rows.length > 0) {
    const lines = tableLines(rows, columns, output === 'wide', paintFor(process.stdout))
    for (const line of lines) process.stdout.write(`${line}\n`)
  }
}
