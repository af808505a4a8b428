import { request } from 'node:http'
import { connect, createServer } from 'node:net'

/**
 * Ports for local processes come from below every system's ephemeral range (Linux 32768…, macOS 49152…): an outgoing
 * connection can then never sit on a port between the moment it is chosen and the moment the process listens on it.
 */
const LOWEST = 20_000
const HIGHEST = 32_000
const TRIES = 200

/** A port nobody listens on, and that is not in `taken`. @throws when there is none to be found. */
export async function freePort(random: () => number, taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = LOWEST + Math.floor(random() * (HIGHEST - LOWEST))
    if (!taken.has(port) && (await isFree('127.0.0.1', port)) && (await isFree('::', port))) return port
  }
  throw new Error(
    `no free port between ${LOWEST} and ${HIGHEST} in ${TRIES} tries; is something listening on all of them?`,
  )
}

/** Whether `host:port` could be listened on now. A host that this machine does not have counts as free. */
export function isFree(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', error => resolve('code' in error && error.code !== 'EADDRINUSE' && error.code !== 'EACCES'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** The first free port from `from` on, or undefined when `tries` of them are taken. */
export async function nextFreePort(host: string, from: number, tries: number): Promise<number | undefined> {
  for (let port = from; port < from + tries && port < 65_536; port++) if (await isFree(host, port)) return port
  return undefined
}

/** Others that start at the same moment look for a free port as we do. */
const MOVES = 5

/**
 * Opens something on a port that was free a moment ago; where somebody else has taken it since, on one of the next free ones.
 * @throws what `open` throws, for a taken port only when none is to be had.
 */
export async function openOnFreePort<T>(host: string, port: number, open: (port: number) => Promise<T>): Promise<T> {
  for (let moves = 0, at = port; ; moves++) {
    try {
      return await open(at)
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      const next = taken && moves < MOVES ? await nextFreePort(host, at + 1, TRIES) : undefined
      if (next === undefined) throw error
      at = next
    }
  }
}

/** Loopback as a process may listen on it; some runtimes take `localhost` for IPv6 only. */
const LOOPBACKS = [
  { host: '127.0.0.1', inUrl: '127.0.0.1' },
  { host: '::1', inUrl: '[::1]' },
] as const

/** One look takes at most this long. */
const PROBE_TIMEOUT_MS = 1_000

/**
 * Looks once whether a process answers on `port`: takes a connection, or answers `GET path` with 2xx or 3xx, as a kubelet
 * probes. The origin it answers on, or undefined. Never throws.
 */
export async function probe(port: number, path: string | undefined): Promise<string | undefined> {
  for (const { host, inUrl } of LOOPBACKS) {
    const answers = path === undefined ? await takesConnection(host, port) : await answersOk(host, port, path)
    if (answers) return `http://${inUrl}:${port}`
  }
  return undefined
}

function takesConnection(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ host, port, timeout: PROBE_TIMEOUT_MS })
    const done = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => done(true))
    socket.once('timeout', () => done(false))
    socket.once('error', () => done(false))
  })
}

function answersOk(host: string, port: number, path: string): Promise<boolean> {
  return new Promise(resolve => {
    const asked = request({ host, port, path, agent: false, timeout: PROBE_TIMEOUT_MS })
    const done = (answer: boolean) => {
      asked.destroy()
      resolve(answer)
    }
    asked.once('response', response => done((response.statusCode ?? 0) >= 200 && (response.statusCode ?? 0) < 400))
    asked.once('timeout', () => done(false))
    asked.once('error', () => done(false))
    asked.end()
  })
}
