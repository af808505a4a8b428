import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'

/** One request as it came. */
export interface Received {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export interface Subscriber extends AsyncDisposable {
  readonly origin: string
  readonly received: readonly Received[]
  /** Requests whose answer is not finished. */
  readonly open: number
  /** Resolves when `count` requests have come in all. @throws after ten seconds. */
  reached(count: number): Promise<void>
}

type Answer = (received: Received, response: ServerResponse, count: number) => void

/** A real subscriber on a free port. `answer` is called when a request has come whole; `count` is how many there were. */
export async function openSubscriber(answer: Answer = answerOk): Promise<Subscriber> {
  const received: Received[] = []
  const waiting = new Set<() => void>()
  let open = 0
  const server = createServer((request, response) => {
    open++
    response.on('close', () => open--)
    void bodyOf(request).then(body => {
      const one = { path: request.url ?? '', headers: request.headers, body }
      received.push(one)
      answer(one, response, received.length)
      for (const check of waiting) check()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    received,
    get open() {
      return open
    },
    reached: count =>
      reached(
        waiting,
        () => received.length >= count,
        () => `${received.length} of ${count} requests`,
      ),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

export function answerOk(_received: Received, response: ServerResponse): void {
  response.writeHead(200, { 'content-length': 0 }).end()
}

/** Answers with a status and nothing else. */
export function answering(status: number, headers: Record<string, string> = {}, body = ''): Answer {
  return (_received, response) => void response.writeHead(status, headers).end(body)
}

/** A peer that speaks what `talk` makes it speak, on a raw socket: what no HTTP library would send. */
export async function openRawPeer(
  talk: (socket: Socket) => void,
): Promise<{ readonly origin: string } & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    talk(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Calls `say` once the peer has sent a whole request of the kind that has a Content-Length. */
export function afterRequest(say: (socket: Socket) => void): (socket: Socket) => void {
  return socket => {
    let text = ''
    socket.on('data', chunk => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? 0)
      if (text.length < end + 4 + length) return
      text = ''
      say(socket)
    })
  }
}

/** Resolves once `condition` holds. Looks at it every few ms, because what it waits for is another machine's doing. */
export async function eventually(condition: () => boolean, what = 'the condition', withinMs = 30_000): Promise<void> {
  const untilMs = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error(`${what} did not come true within ${withinMs} ms`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function reached(waiting: Set<() => void>, done: () => boolean, state: () => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      if (!done()) return
      clearTimeout(timer)
      waiting.delete(check)
      resolve()
    }
    const timer = setTimeout(() => {
      waiting.delete(check)
      reject(new Error(`only ${state()} came`))
    }, 10_000)
    waiting.add(check)
    check()
  })
}
