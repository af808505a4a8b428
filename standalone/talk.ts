import { styleText } from 'node:util'
import type { SourceView, StateView, TriggerView } from '../contract/api.ts'
import type { Output } from '../runtime/outside.ts'
import type { Standalone } from './standalone.ts'
import type { Told } from './told.ts'

type Style = Parameters<typeof styleText>[0]

/** Beyond this many characters that the terminal has not taken, lines are dropped and counted: memory has an end. */
const WAITING_MAX = 1 << 20
/** Names of replicas in different colours. */
const COLOURS: readonly Style[] = ['cyan', 'magenta', 'yellow', 'green', 'blue']

/** Lines for the person at the terminal of `weir dev`. */
export class Talk {
  readonly #out: Output
  readonly #colour: boolean
  #dropped = 0

  constructor(out: Output, env: Readonly<Record<string, string | undefined>>) {
    this.#out = out
    this.#colour = out.isTTY && (env.NO_COLOR ?? '') === ''
  }

  line(text: string): void {
    if (this.#out.waiting > WAITING_MAX) return void this.#dropped++
    const dropped =
      this.#dropped > 0 ? `… ${this.#dropped} lines are left out: they came faster than they were read\n` : ''
    this.#dropped = 0
    this.#out.write(`${dropped}${text}\n`)
  }

  told(told: Told): void {
    for (const text of this.#words(told)) this.line(text)
  }

  #words(told: Told): string[] {
    switch (told.kind) {
      case 'output':
        return [`${this.#paint(colourOf(told.replica), told.replica)} | ${told.line}`]
      case 'info':
        return [`${this.#paint('green', '·')} ${told.text}`]
      case 'warning':
        return [`${this.#paint('yellow', '!')} ${told.text}`]
      case 'mistakes':
        return [
          ...told.mistakes.map(({ file, line, column, message }) => {
            return `${this.#paint('red', '✗')} ${file}:${line}:${column}: ${message}`
          }),
          `${this.#paint('yellow', '!')} the last good state goes on until the above is mended`,
        ]
      default:
        return told satisfies never
    }
  }

  /** What a person needs to know once everything is open. */
  started(world: Standalone, kept: string, tookMs: number): void {
    const state = world.state()
    this.line(`${this.#paint('bold', 'weir dev')} · ${listed(world.files)} · ${kept}`)
    this.line('')
    for (const broker of state.brokers) this.line(`  Ingress  ${this.#paint('cyan', broker.url)}`)
    this.line(`  Console  ${this.#paint('cyan', world.console)}`)
    this.line('')
    for (const trigger of state.triggers) this.line(this.#thing('Trigger', trigger, arrow(trigger)))
    for (const source of state.sources) this.line(this.#thing('Source', source, sourceArrow(source)))
    if (state.triggers.length === 0) this.line(`  no Trigger yet: events are kept, and nobody gets them`)
    this.line('')
    this.line(`ready in ${(tookMs / 1000).toFixed(1)} s; Ctrl-C ends it. Send an event:`)
    const [first] = state.brokers
    if (first !== undefined) this.line(`  ${this.#paint('dim', curl(first.url))}`)
    this.line('')
  }

  #thing(kind: string, view: TriggerView | SourceView, where: string): string {
    // A source needs a moment to reach its upstream; only a reason makes it worth a mark.
    const mark = view.ready ? this.#paint('green', '✓') : this.#paint('yellow', '!')
    const reason = view.ready || view.reason === '' ? '' : `  ${view.reason}`
    return `${mark} ${kind.padEnd(7)}  ${view.namespace}/${view.name} ${where}${reason}`
  }

  #paint(style: Style, text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text
  }
}

/** A command that works when it is pasted. */
export function curl(url: string): string {
  return `curl -i ${url} -H 'ce-specversion: 1.0' -H "ce-id: $RANDOM" -H 'ce-type: hello' -H 'ce-source: /me' -H 'content-type: application/json' -d '{"hello":"world"}'`
}

function arrow({ subscriber, replicas }: TriggerView): string {
  const where = subscriber === '' ? '→ nowhere yet' : `→ ${subscriber}`
  return replicas === null ? where : `${where} (${replicas.desired} of up to ${replicas.max} replicas)`
}

/** What is sent to it, if anything, and where it sends. */
function sourceArrow({ address, sink }: SourceView): string {
  return address === null ? `→ ${sink}` : `${address} → ${sink}`
}

function listed(files: readonly string[]): string {
  if (files.length === 0) return 'no YAML'
  return files.length <= 3 ? files.join(', ') : `${files.length} files`
}

function colourOf(replica: string): Style {
  let sum = 0
  for (let i = 0; i < replica.length; i++) sum += replica.charCodeAt(i)
  return COLOURS[sum % COLOURS.length] ?? 'cyan'
}

/** `1 event`, `2 events`. */
export function events(count: number): string {
  return count === 1 ? '1 event' : `${count} events`
}

/** `1 request`, `2 requests`. */
export function requests(count: number): string {
  return count === 1 ? '1 request' : `${count} requests`
}

/** What stands between an idle world and its end. */
export function inFlight(state: StateView): number {
  return state.triggers.reduce((sum, trigger) => sum + trigger.inFlight, 0)
}
