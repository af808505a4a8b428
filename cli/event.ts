import type { AttemptView, DeliveryDetailView, EventDetailView } from '../contract/api.ts'
import { getOne } from './api.ts'
import { EXIT } from './failure.ts'
import { pathOfName } from './names.ts'
import { findConsole } from './place.ts'
import { type Paint, paintFor, plain, type Tone } from './style.ts'
import { ageText, clockText, spanText } from './time.ts'

export interface EventOptions {
  readonly broker?: string
  readonly output: 'text' | 'json'
  readonly console?: string
}

/** `weir event SEQ|ID`: everything that is known of one event. @throws {Failure} */
export async function event(key: string, options: EventOptions): Promise<number> {
  const origin = await findConsole(options.console, process.cwd())
  const query = options.broker === undefined ? '' : `?broker=${pathOfName(options.broker, '--broker')}`
  const found = await getOne<EventDetailView>(origin, `events/${encodeURIComponent(key)}${query}`)
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`)
  else for (const line of eventLines(found, Date.now(), paintFor(process.stdout))) process.stdout.write(`${line}\n`)
  return EXIT.done
}

/** The event, its data, and what became of it for each Trigger of its Broker. */
export function eventLines(found: EventDetailView, nowMs: number, paint: Paint): string[] {
  const { attributes, namespace, broker, seq, acceptedMs, bytes, damaged, data } = found
  const names = Object.keys(attributes).sort((a, b) => rank(a) - rank(b))
  const width = Math.max(...names.map(name => name.length), 8)
  const fact = (name: string, text: string) => `  ${name.padEnd(width)}  ${plain(text)}`
  const lines = [
    paint('strong', `Event ${plain(attributes.id ?? '')}`),
    fact('broker', `${namespace}/${broker}, seq ${seq}`),
    fact('accepted', `${clockText(acceptedMs)}, ${ageText(nowMs - acceptedMs)} ago, ${bytes} bytes`),
    ...names.map(name => fact(name, attributes[name] ?? '')),
  ]
  if (damaged)
    lines.push(paint('bad', '  The stored event is damaged: its checksum does not match. It is never delivered.'))
  if (data.text !== '') {
    const encoding = data.encoding === 'base64' ? ' (base64)' : ''
    lines.push('', paint('strong', `Data${encoding}`), ...data.text.split('\n').map(line => `  ${plain(line)}`))
    if (data.truncated) lines.push(paint('dim', '  … and more'))
  }
  lines.push('', paint('strong', 'Deliveries'))
  for (const delivery of found.deliveries) lines.push(...deliveryLines(delivery, nowMs, paint))
  if (found.deliveries.length === 0) lines.push('  none: no Trigger wanted it')
  for (const { trigger, matchesNow, clause, words } of found.unmatched) {
    const why = clause === '' ? words : `${clause}: ${words}`
    const late = matchesNow ? 'not given to it, though it would match now: ' : 'did not match: '
    lines.push(`  ${trigger}  ${paint(matchesNow ? 'warn' : 'dim', plain(late + why))}`)
  }
  return lines
}

const TONES: Readonly<Record<DeliveryDetailView['state'], Tone | undefined>> = {
  waiting: undefined,
  blocked: 'warn',
  'in-flight': undefined,
  retrying: 'warn',
  parked: 'bad',
  'dead-lettered': 'bad',
  discarded: 'warn',
  delivered: 'good',
}

function deliveryLines(
  { trigger, state, nextDueMs, failure, attempts }: DeliveryDetailView,
  nowMs: number,
  paint: Paint,
): string[] {
  const due = nextDueMs === null ? '' : `, again in ${spanText(Math.max(0, nextDueMs - nowMs))}`
  const blocked = state === 'blocked' ? ': an earlier event of its key is not done' : ''
  const lines = [`  ${trigger}  ${paint(TONES[state], state)}${blocked}${due}`]
  for (const attempt of attempts) lines.push(`    ${plain(attemptText(attempt))}`)
  if (attempts.length === 0 && state === 'delivered') lines.push(paint('dim', '    at once'))
  if (failure !== null && attempts.length === 0)
    lines.push(`    ${plain(`${failure.code} ${failure.data} at ${failure.destination}`)}`)
  return lines
}

function attemptText({ stage, number, atMs, tookMs, status, words, followed }: AttemptView): string {
  const what = stage === 'dead-letter' ? `to the sink, attempt ${number}` : `attempt ${number}`
  const answer = [status ?? '', words.trim()]
    .filter((part, i) => (i === 0 ? part !== '' : part !== '' && part !== String(status)))
    .join(' ')
  const then = followed === 'again' ? '' : ` → ${followed}`
  return `${clockText(atMs)}  ${what}  ${answer}  ${spanText(tookMs)}${then}`
}

/** What says most comes first. */
function rank(name: string): number {
  const at = ['type', 'source', 'subject', 'time', 'datacontenttype'].indexOf(name)
  return at < 0 ? (name === 'id' || name === 'specversion' ? 99 : 50) : at
}
