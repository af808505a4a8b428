import type { StateView } from '../contract/api.ts'
import { didYouMean } from '../crds/suggest.ts'
import { getList, openStream } from './api.ts'
import { EXIT, Failure } from './failure.ts'
import { fullName, KIND_WORDS, KINDS, type Kind, kindOf, kindTable, nameOf, type Row } from './kinds.ts'
import { findConsole } from './place.ts'
import { paintFor, plain } from './style.ts'

export const OUTPUTS = ['table', 'wide', 'json', 'yaml', 'name'] as const

export interface GetOptions {
  readonly namespace?: string
  readonly output: (typeof OUTPUTS)[number]
  readonly watch?: boolean
  readonly limit: number
  readonly console?: string
}

/** The rows of one kind that were asked for. */
interface Listed {
  readonly kind: Kind
  readonly rows: readonly Row[]
}

/** `weir get KIND [NAME]`. @throws {Failure} */
export async function get(word: string, name: string | undefined, options: GetOptions): Promise<number> {
  const kind = kindOf(word)
  if (kind === undefined) {
    const ending = didYouMean(word, KIND_WORDS) || `: there are ${KINDS.join(', ')} and all`
    throw new Failure('wrongInput', `unknown kind ${JSON.stringify(plain(word))}${ending}`)
  }
  if (kind === 'all' && name !== undefined) throw new Failure('wrongInput', 'a NAME needs a kind: weir get KIND NAME')
  const origin = await findConsole(options.console, process.cwd())
  const kinds = kind === 'all' ? KINDS.filter(one => one !== 'events') : [kind]
  const stop = new AbortController()
  if (options.watch) return await watch(origin, kinds, name, options, stop.signal)
  const listed = await Promise.all(kinds.map(one => list(origin, one, name, options, stop.signal)))
  if (name !== undefined && listed.every(one => one.rows.length === 0))
    throw await notFound(origin, kinds, name, options)
  await show(listed, kind === 'all', name !== undefined, options)
  return EXIT.done
}

async function list(
  origin: string,
  kind: Kind,
  name: string | undefined,
  options: GetOptions,
  signal: AbortSignal,
): Promise<Listed> {
  return { kind, rows: chosen(await getList<Row>(origin, pathOf(kind, name, options), signal), name, options) }
}

function pathOf(kind: Kind, name: string | undefined, options: GetOptions): string {
  if (kind !== 'events') return kind
  return `events?${new URLSearchParams({ limit: String(options.limit), ...(name === undefined ? {} : { id: name }) })}`
}

/** NAME may be NAMESPACE/NAME too, as `-o name` prints it. */
function chosen(rows: readonly Row[], name: string | undefined, { namespace }: GetOptions): readonly Row[] {
  return rows.filter(row => {
    const named = name === undefined || nameOf(row) === name || `${row.namespace}/${nameOf(row)}` === name
    return named && (namespace === undefined || row.namespace === namespace)
  })
}

async function notFound(origin: string, kinds: readonly Kind[], name: string, options: GetOptions): Promise<Failure> {
  const [kind = 'triggers'] = kinds
  const quoted = JSON.stringify(plain(name))
  if (kind === 'events')
    return new Failure('failed', `no event has the id ${quoted}`, 'weir get events lists the newest')
  const all = await getList<Row>(origin, kind, AbortSignal.timeout(5000))
  const names = all.map(row => nameOf(row))
  const where = options.namespace === undefined ? '' : ` in namespace ${options.namespace}`
  const what = kind === 'scale' ? kind : kind.slice(0, -1)
  const there = all.slice(0, 10).map(row => `${row.namespace}/${nameOf(row)}`)
  const advice = there.length > 0 ? `one of these: ${plain(there.join(', '))}` : undefined
  return new Failure('failed', `no ${what} ${quoted}${where}${didYouMean(name, names)}`, advice)
}

async function show(listed: readonly Listed[], all: boolean, single: boolean, options: GetOptions): Promise<void> {
  switch (options.output) {
    case 'json':
      print(JSON.stringify(document(listed, all, single), undefined, 2))
      return
    case 'yaml': {
      const { stringify } = await import('yaml')
      print(stringify(document(listed, all, single)).trimEnd())
      return
    }
    case 'name':
      for (const { kind, rows } of listed) for (const row of rows) print(plain(fullName(kind, row)))
      return
    case 'table':
    case 'wide':
      tables(listed, all, options).forEach(print)
      if (listed.every(({ rows }) => rows.length === 0)) process.stderr.write(`${nothing(listed, options)}\n`)
      return
    default:
      options.output satisfies never
  }
}

/** One kind is a list, all of them an object of lists, a NAME the object itself. */
function document(listed: readonly Listed[], all: boolean, single: boolean): unknown {
  if (all) return Object.fromEntries(listed.map(({ kind, rows }) => [kind, rows]))
  const rows = listed.flatMap(one => one.rows)
  return single && rows.length === 1 ? rows[0] : rows
}

function tables(listed: readonly Listed[], all: boolean, options: GetOptions): string[] {
  const paint = paintFor(process.stdout)
  const lines: string[] = []
  for (const { kind, rows } of listed) {
    if (rows.length === 0) continue
    if (all) lines.push(...(lines.length > 0 ? [''] : []), paint('strong', kind.toUpperCase()))
    const wide = options.output === 'wide'
    lines.push(...kindTable(kind, rows, wide, options.namespace === undefined, Date.now(), paint))
  }
  return lines
}

function nothing(listed: readonly Listed[], { namespace }: GetOptions): string {
  const what = listed.length === 1 ? (listed[0]?.kind ?? '') : 'resources'
  return `no ${what}${namespace === undefined ? '' : ` in namespace ${namespace}`}`
}

/** On a terminal the table is drawn again in its place, on a pipe each line that is new or other than it was is added. */
async function watch(
  origin: string,
  kinds: readonly Kind[],
  name: string | undefined,
  options: GetOptions,
  signal: AbortSignal,
): Promise<number> {
  const live = process.stdout.isTTY === true && options.output !== 'json' && options.output !== 'yaml'
  const seen = new Set<string>()
  for await (const message of openStream(origin, signal)) {
    const fits = kinds[0] === 'events' ? message.event === 'events' : message.event === 'state'
    if (!fits) continue
    const listed = await Promise.all(
      kinds.map(async kind => {
        if (kind === 'events') return await list(origin, kind, name, options, signal)
        return { kind, rows: chosen((message.data as StateView)[kind], name, options) }
      }),
    )
    if (live) process.stdout.write(`\x1b[H\x1b[2J${tables(listed, kinds.length > 1, options).join('\n')}\n`)
    else showChanges(listed, kinds.length > 1, options, seen)
  }
  process.stderr.write(`Weir at ${origin} has ended\n`)
  return EXIT.done
}

function showChanges(listed: readonly Listed[], all: boolean, options: GetOptions, seen: Set<string>): void {
  const json = options.output === 'json' || options.output === 'yaml'
  const lines = json ? listed.flatMap(one => one.rows.map(row => JSON.stringify(row))) : tables(listed, all, options)
  for (const line of lines) if (!seen.has(line)) print(line)
  seen.clear()
  for (const line of lines) seen.add(line)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
