import { once } from 'node:events'
import net from 'node:net'

/** One raw request, the same bytes each time but for nothing: 1 KiB of data, a binary CloudEvent. */
export function eventRequest(port: number, path: string, bytes = 1024): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    'content-type: application/json',
    `content-length: ${bytes}`,
    'ce-specversion: 1.0',
    'ce-id: 6c3f2f7e-0d1b-4d0c-9e0e-5f2c1c9f4a01',
    'ce-source: /bench/load',
    'ce-type: bench.order.created',
    'ce-time: 2026-01-01T00:00:00.123456789Z',
    'ce-subject: order-4711',
  ]
  const data = `{"pad":"${'x'.repeat(bytes - 10)}"}`
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${data}`)
}

export interface LoadResult {
  readonly sent: number
  readonly seconds: number
  /** Acceptance latency, ms. */
  readonly p50: number
  readonly p99: number
}

/**
 * Closed loop over `connections` keep-alive connections, `total` requests in all, each connection sending the next one
 * when the last is answered. Paced where `perSecond` is given. Raw sockets: the load must cost less than what it loads.
 * @throws at the first answer that is not 202, or when nothing comes back for 30 s.
 */
export async function load(options: {
  port: number
  path: string
  connections: number
  total: number
  perSecond?: number
}): Promise<LoadResult> {
  const request = eventRequest(options.port, options.path)
  const tookMs = new Float64Array(options.total)
  let sent = 0
  let done = 0
  const startedMs = performance.now()
  const idle: (() => void)[] = []
  await new Promise<void>((resolve, reject) => {
    const sockets: net.Socket[] = []
    const watchdog = setInterval(
      () => performance.now() - lastMs > 30_000 && fail(new Error('no answer for 30 s')),
      1000,
    )
    let lastMs = performance.now()
    const end = () => {
      clearInterval(watchdog)
      if (ticker !== undefined) clearInterval(ticker)
      for (const socket of sockets) socket.destroy()
    }
    const fail = (error: Error) => {
      end()
      reject(error)
    }
    const next = (send: () => void) => {
      if (sent >= options.total) return
      if (options.perSecond === undefined) send()
      else idle.push(send)
    }
    const pace = options.perSecond
    const ticker =
      pace === undefined
        ? undefined
        : setInterval(() => {
            const due = Math.min(options.total, ((performance.now() - startedMs) * pace) / 1000)
            while (sent < due && idle.length > 0) idle.shift()?.()
          }, 1)
    for (let i = 0; i < options.connections; i++) {
      const socket = net.connect(options.port, '127.0.0.1')
      sockets.push(socket)
      socket.setNoDelay(true)
      let beganMs = 0
      let held = ''
      const send = () => {
        sent++
        beganMs = performance.now()
        socket.write(request)
      }
      socket.on('connect', () => next(send))
      socket.on('error', fail)
      socket.on('close', () => done < options.total && fail(new Error('the server closed a connection')))
      socket.on('data', chunk => {
        held += chunk.toString('latin1')
        if (!held.includes('\r\n\r\n')) return
        if (!held.startsWith('HTTP/1.1 202')) return fail(new Error(`unexpected answer: ${held.slice(0, 300)}`))
        held = ''
        lastMs = performance.now()
        tookMs[done++] = lastMs - beganMs
        if (done === options.total) {
          end()
          resolve()
        } else next(send)
      })
    }
  })
  const seconds = (performance.now() - startedMs) / 1000
  tookMs.sort()
  const at = (q: number) => tookMs[Math.min(options.total - 1, Math.floor(options.total * q))] ?? 0
  return { sent: done, seconds, p50: at(0.5), p99: at(0.99) }
}

export interface Sink {
  readonly port: number
  received(): number
  /** Resolves when `count` requests have come in all. @throws after `withinMs`. */
  reached(count: number, withinMs: number): Promise<void>
  close(): void
}

const OK = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')

/** A subscriber that answers 200 to everything, on raw sockets: it costs a fraction of what it receives. */
export async function openSink(): Promise<Sink> {
  let received = 0
  const server = net.createServer(socket => {
    let rest: Buffer = Buffer.alloc(0)
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
    socket.on('data', chunk => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      for (let end = rest.indexOf('\r\n\r\n'); end >= 0; end = rest.indexOf('\r\n\r\n')) {
        const length = Number(/content-length: *(\d+)/i.exec(rest.toString('latin1', 0, end))?.[1] ?? 0)
        if (rest.length < end + 4 + length) return
        rest = rest.subarray(end + 4 + length)
        received++
        socket.write(OK)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    received: () => received,
    async reached(count, withinMs) {
      const untilMs = performance.now() + withinMs
      while (received < count) {
        if (performance.now() > untilMs) throw new Error(`the sink has ${received} of ${count} after ${withinMs} ms`)
        await new Promise(resolve => setTimeout(resolve, 5))
      }
    },
    close: () => server.close(),
  }
}
