import { isIP } from 'node:net'
import { LRUCache } from 'lru-cache'
import type { Cancel, Clock } from '../runtime/clock.ts'

/** Connections that nobody used for this long are closed. */
const IDLE_MS = 60_000
/** Connections to a name and secure ones are made anew after this, so that DNS and certificates are heard. */
const RENEW_MS = 60_000
const SWEEP_MS = 15_000
const BROKERS_MAX = 1000

/** Connections to one origin. */
export interface Connections {
  /** Resolves when the requests that are open are over. */
  close(): Promise<void>
  /** Ends the requests that are open. */
  destroy(): Promise<void>
}

export interface Origin<Pool extends Connections> {
  readonly pool: Pool
  /** Requests that are not over; whoever makes one counts it. */
  open: number
  usedMs: number
  readonly bornMs: number
  /** Made anew after a while, although it is used. */
  readonly renewed: boolean
}

/** A URL taken apart, with the connections to its origin. */
export interface Target<Pool extends Connections> {
  readonly path: string
  readonly origin: Origin<Pool>
  /** It answered as the door of a Broker does; whoever sees that says so here. */
  broker: boolean
}

/** Where those go who trust the same authorities. */
interface Trusting<Pool extends Connections> {
  readonly caCerts: string | undefined
  readonly origins: Map<string, Origin<Pool>>
  readonly targets: Map<string, Target<Pool>>
}

/**
 * Where requests go, by URL. The URLs come from routes; an origin that is not used any more is forgotten and its
 * connections are closed.
 */
export class Targets<Pool extends Connections> {
  readonly #clock: Clock
  readonly #open: (origin: string, caCerts: string | undefined) => Pool
  readonly #plain: Trusting<Pool> = { caCerts: undefined, origins: new Map(), targets: new Map() }
  /** By the authorities that the sink brings: what one of them vouches for is not believed on behalf of another. */
  readonly #trusting = new Map<string, Trusting<Pool>>()
  /** Addresses of Brokers whose connections were closed: they are no less Brokers when they are called again. */
  readonly #brokers = new LRUCache<string, true>({ max: BROKERS_MAX })
  readonly #closing = new Map<Pool, Promise<void>>()
  #sweeper: Cancel | undefined

  constructor(clock: Clock, open: (origin: string, caCerts: string | undefined) => Pool) {
    this.#clock = clock
    this.#open = open
  }

  /**
   * A string says why nothing can be posted there.
   * @param caCerts PEM; connections are shared only by those who trust the same.
   */
  find(url: string, caCerts: string | undefined, nowMs: number): Target<Pool> | string {
    const trusting = caCerts === undefined ? this.#plain : this.#trustingOf(caCerts)
    const target = trusting.targets.get(url) ?? this.#add(url, trusting, nowMs)
    if (typeof target !== 'string') target.origin.usedMs = nowMs
    return target
  }

  /** Ends everything that is open, also what only waited for its end. */
  async close(): Promise<void> {
    this.#sweeper?.()
    const pools = [...this.#closing.keys()]
    for (const trusting of this.#all()) {
      for (const { pool } of trusting.origins.values()) pools.push(pool)
      trusting.origins.clear()
      trusting.targets.clear()
    }
    this.#trusting.clear()
    await Promise.all(pools.map(pool => pool.destroy()))
  }

  #all(): Trusting<Pool>[] {
    return [this.#plain, ...this.#trusting.values()]
  }

  #trustingOf(caCerts: string): Trusting<Pool> {
    let trusting = this.#trusting.get(caCerts)
    if (trusting === undefined) {
      trusting = { caCerts, origins: new Map(), targets: new Map() }
      this.#trusting.set(caCerts, trusting)
    }
    return trusting
  }

  #add(text: string, { caCerts, origins, targets }: Trusting<Pool>, nowMs: number): Target<Pool> | string {
    const url = parseTarget(text)
    if (typeof url === 'string') return url
    let origin = origins.get(url.origin)
    if (origin === undefined) {
      const renewed = url.protocol === 'https:' || isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0
      origin = { pool: this.#open(url.origin, caCerts), open: 0, usedMs: nowMs, bornMs: nowMs, renewed }
      origins.set(url.origin, origin)
    }
    const target = { path: url.pathname + url.search, origin, broker: this.#brokers.has(text) }
    targets.set(text, target)
    this.#sweeper ??= this.#clock.after(SWEEP_MS, () => this.#sweep())
    return target
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs()
    let left = 0
    for (const trusting of this.#all()) {
      for (const [key, origin] of trusting.origins) {
        const idle = origin.open === 0 && nowMs - origin.usedMs >= IDLE_MS
        if (idle || (origin.renewed && nowMs - origin.bornMs >= RENEW_MS)) this.#forget(key, origin, trusting)
      }
      left += trusting.origins.size
      if (trusting.origins.size === 0 && trusting.caCerts !== undefined) this.#trusting.delete(trusting.caCerts)
    }
    this.#sweeper = left > 0 ? this.#clock.after(SWEEP_MS, () => this.#sweep()) : undefined
  }

  #forget(key: string, origin: Origin<Pool>, { origins, targets }: Trusting<Pool>): void {
    origins.delete(key)
    for (const [url, target] of targets) {
      if (target.origin !== origin) continue
      if (target.broker) this.#brokers.set(url, true)
      targets.delete(url)
    }
    const { pool } = origin
    this.#closing.set(
      pool,
      pool.close().finally(() => this.#closing.delete(pool)),
    )
  }
}

/** A string says what is wrong with it, and shows no password. */
function parseTarget(text: string): URL | string {
  // `URL` drops line breaks and tabs, so that what a person reads and what is called would differ.
  if (CONTROLS.test(text)) return 'the address holds control characters'
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    return `${text.replace(/\/\/[^/@]*@/, '//…@').slice(0, 200)} is no http or https URL`
  }
  if (url.username !== '' || url.password !== '') {
    return 'the address holds a user name or a password, which are not sent: take them out of it'
  }
  return url.port === '0' ? 'nothing can listen on port 0' : url
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f]/
