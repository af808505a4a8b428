import type { DeliveryView, EventView } from '../contract/api.ts'
import { deliveryText, deliveryTone } from './columns.ts'
import { type Paint, plain } from './style.ts'
import { clockText } from './time.ts'

export interface Told {
  readonly event: EventView
  readonly line: string
}

export interface Wish {
  readonly trigger?: string
  readonly type?: string
  readonly last: number
}

/** Events that are remembered, so that what was told is not told again. */
const MOST_REMEMBERED = 20_000
/** An event that waits for longer than this is told of; most are delivered at once. */
const WAITS_MS = 1_000

interface Remembered {
  event: EventView
  /** What was last said of each Trigger. */
  readonly said: Map<string, string>
  readonly heardMs: number
}

/** Turns what a stream says of events into lines: one when a delivery changes, none twice. */
export class Teller {
  readonly #wish: Wish
  readonly #paint: Paint
  readonly #type: RegExp | undefined
  readonly #events = new Map<string, Remembered>()
  /** Those with a delivery that waits and of which nothing has been said. */
  readonly #quiet = new Set<Remembered>()
  #started = false

  constructor(wish: Wish, paint: Paint) {
    this.#wish = wish
    this.#paint = paint
    this.#type = wish.type === undefined ? undefined : globOf(wish.type)
  }

  /** `events` are new or changed, in any order; the first ones are those from before. */
  hear(events: readonly EventView[], nowMs: number): Told[] {
    const fitting = events.filter(event => this.#wants(event)).sort((a, b) => a.seq - b.seq)
    const old = this.#started ? 0 : Math.max(0, fitting.length - this.#wish.last)
    this.#started = true
    return fitting.flatMap((event, i) => {
      const told = this.#changes(event, nowMs)
      return i < old ? [] : told
    })
  }

  /** What has been waiting for a while, and has not been told of. */
  stillWaiting(nowMs: number): Told[] {
    const told: Told[] = []
    for (const remembered of this.#quiet) {
      if (nowMs - remembered.heardMs < WAITS_MS) continue
      this.#quiet.delete(remembered)
      const { event, said } = remembered
      for (const delivery of event.deliveries)
        if (this.#wantsTrigger(event, delivery) && !said.has(delivery.trigger)) {
          said.set(delivery.trigger, signature(delivery))
          told.push(this.#told(event, delivery))
        }
    }
    return told
  }

  #changes(event: EventView, nowMs: number): Told[] {
    const key = `${event.seq} ${event.acceptedMs} ${event.attributes.id}`
    const known = this.#events.get(key)
    const remembered = known ?? { event, said: new Map(), heardMs: nowMs }
    remembered.event = event
    if (known === undefined) this.#remember(key, remembered)
    if (event.deliveries.length === 0) return known === undefined ? [this.#told(event, undefined)] : []
    const told: Told[] = []
    let quiet = false
    for (const delivery of event.deliveries) {
      if (!this.#wantsTrigger(event, delivery)) continue
      const said = remembered.said.get(delivery.trigger)
      const fresh = delivery.state === 'waiting' && delivery.attempts === 0
      if (fresh && said === undefined) quiet = true
      if (fresh || said === signature(delivery)) continue
      remembered.said.set(delivery.trigger, signature(delivery))
      told.push(this.#told(event, delivery))
    }
    if (quiet) this.#quiet.add(remembered)
    else this.#quiet.delete(remembered)
    return told
  }

  #remember(key: string, remembered: Remembered): void {
    this.#events.set(key, remembered)
    if (this.#events.size <= MOST_REMEMBERED) return
    const [oldest] = this.#events
    if (oldest === undefined) return
    this.#events.delete(oldest[0])
    this.#quiet.delete(oldest[1])
  }

  #wants(event: EventView): boolean {
    if (this.#type !== undefined && !this.#type.test(event.attributes.type ?? '')) return false
    return this.#wish.trigger === undefined || event.deliveries.some(one => this.#wantsTrigger(event, one))
  }

  #wantsTrigger(event: EventView, { trigger }: DeliveryView): boolean {
    const { trigger: wished } = this.#wish
    if (wished === undefined) return true
    // The view names a Trigger with or without its namespace.
    const full = trigger.includes('/') ? trigger : `${event.namespace}/${trigger}`
    return wished === full || wished === full.slice(full.indexOf('/') + 1)
  }

  #told(event: EventView, delivery: DeliveryView | undefined): Told {
    const { type = '', source = '', id = '' } = event.attributes
    const end =
      delivery === undefined
        ? this.#paint('dim', '(no Trigger wanted it)')
        : `${this.#paint('strong', plain(delivery.trigger))}  ${this.#paint(deliveryTone[delivery.state], plain(deliveryText(delivery)))}`
    const start = [clockText(event.acceptedMs), type, source, id].map(plain).join('  ')
    return { event, line: `${start}  → ${end}` }
  }
}

function signature({ state, attempts }: DeliveryView): string {
  return `${state} ${attempts}`
}

/** `*` stands for any letters. */
function globOf(pattern: string): RegExp {
  return new RegExp(`^${pattern.split('*').map(RegExp.escape).join('.*')}$`, 's')
}
