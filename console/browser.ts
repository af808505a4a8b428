import type { Clock, Wire } from './live.ts'

/** Relative, so that the page also works behind a proxy that puts a path in front of it. */
const API = 'api/v1'

export const pageClock: Clock = {
  monotonicMs: () => performance.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs)
    return () => clearTimeout(timer)
  },
}

/** The Weir that served this page. */
export const pageWire: Wire = {
  open(told) {
    const stream = new EventSource(`${API}/stream`)
    stream.onopen = () => told.opened()
    stream.addEventListener('state', message => told.state(message.data))
    stream.addEventListener('events', message => told.events(message.data))
    // The browser would try again by itself after some failures and never after others (HTML §9.2.3): one way for all.
    stream.onerror = () => {
      stream.close()
      told.failed()
    }
    return () => stream.close()
  },

  async lastEvents(most, signal) {
    const response = await fetch(`${API}/events?limit=${most}`, { signal })
    if (!response.ok) throw new Error(`The last events could not be read: Weir answered ${response.status}.`)
    return response.text()
  },

  async alive(signal) {
    try {
      return (await fetch('livez', { signal, cache: 'no-store' })).ok
    } catch {
      return false
    }
  },
}

/**
 * A word of the address bar's fragment (`#events=…`), so that a filtered view can be bookmarked and passed on.
 * Empty where it is not there.
 */
export function readFragment(name: string): string {
  return new URLSearchParams(location.hash.slice(1)).get(name) ?? ''
}

export function writeFragment(name: string, value: string): void {
  const words = new URLSearchParams(location.hash.slice(1))
  if (value === '') words.delete(name)
  else words.set(name, value)
  history.replaceState(null, '', words.size === 0 ? location.pathname + location.search : `#${words}`)
}
