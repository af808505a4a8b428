import type { ServerResponse } from 'node:http'
import type { Clock } from './clock.ts'

/** Sends one server-sent event: a name, and JSON. */
export type Send = (event: string, value: unknown) => void

/** Begins to feed one reader; returns the function that ends it. */
export type Stream = (send: Send) => () => void

export interface EventStreams {
  /** Whether one more reader is let in. */
  admits(): boolean
  /** Takes `response` over, and feeds it until either side ends. */
  open(response: ServerResponse, stream: Stream): void
  /** Ends all of them. */
  close(): void
}

const MAX_READERS = 64
/** A reader that does not read is cut off here; a browser comes back by itself. */
const MAX_WAITING_BYTES = 4 << 20
/** A comment now and then keeps what is in between from closing a quiet stream, and finds readers that are gone. */
const HEARTBEAT_MS = 15_000

/** Server-sent events (HTML standard §9.2) over plain responses. */
export function openEventStreams(clock: Clock, headers: Readonly<Record<string, string>>): EventStreams {
  const readers = new Set<ServerResponse>()
  return {
    admits: () => readers.size < MAX_READERS,
    open(response, stream) {
      readers.add(response)
      response.writeHead(200, { ...headers, 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
      const write = (text: string) => {
        if (response.destroyed || response.writableEnded) return
        if (response.writableLength > MAX_WAITING_BYTES) return void response.destroy()
        response.write(text)
      }
      write('retry: 1000\n\n')
      const stop = stream((event, value) => write(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`))
      let cancel = () => {}
      const beat = () => {
        cancel = clock.after(HEARTBEAT_MS, () => {
          write(': still here\n\n')
          beat()
        })
      }
      beat()
      response.once('close', () => {
        cancel()
        stop()
        readers.delete(response)
      })
      response.on('error', () => response.destroy())
    },
    close: () => {
      for (const response of readers) response.end()
    },
  }
}
