import { once } from 'node:events'
import net from 'node:net'

/** Everything a server says on one connection until it closes it, or `quietMs` pass without a byte. */
export async function exchange(port: number, request: string | Buffer, quietMs = 300): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', chunk => chunks.push(chunk))
  // A connection may end before it is there, so its end is all that is waited for.
  const closed = once(socket, 'close')
  socket.on('connect', () => {
    socket.write(request)
    socket.setTimeout(quietMs, () => socket.destroy())
  })
  await closed
  return Buffer.concat(chunks).toString('latin1')
}

export interface Answer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** The answers in `text`, one after the other. Interim ones are left out. @throws when something there is no answer. */
export function answers(text: string): Answer[] {
  const found: Answer[] = []
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n')
    const head = rest.slice(0, end).split('\r\n')
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head[0] ?? '')?.[1])
    if (end < 0 || Number.isNaN(status)) throw new Error(`not an answer: ${rest.slice(0, 200)}`)
    const headers = new Map(
      head.slice(1).map(line => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const length = Number(headers.get('content-length') ?? 0)
    if (status >= 200) found.push({ status, headers, body: rest.slice(end + 4, end + 4 + length) })
    rest = rest.slice(end + 4 + length)
  }
  return found
}
