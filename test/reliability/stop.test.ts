import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { routes, trigger } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { openSubscriber } from '../support/subscriber.ts'
import { patchedBroker, SHIPPED, startBroker } from './child-broker.ts'

/** Connections that post one event after the other, and those that are in the middle of one when the end comes. */
const SENDERS = 12
const HALVES = 12
const LOAD_MS = 700

interface Stopped {
  readonly code: number
  /** Answered with 202. */
  readonly accepted: readonly string[]
  /** Delivered before the end, or by the next process. */
  readonly delivered: ReadonlySet<string>
  /** Statuses that were answered to requests of which a half had been sent before. Undefined: none came. */
  readonly halves: readonly (number | undefined)[]
  /** Statuses other than 202 that the senders saw. */
  readonly refusals: readonly number[]
  /** What a request was answered when the process was gone. */
  readonly afterwards: string
}

async function stopped(base: string): Promise<Stopped> {
  const delivered = new Set<string>()
  await using subscriber = await openSubscriber(({ headers }, response) => {
    delivered.add(String(headers['ce-id']))
    // Slow enough that some are on the way at any moment.
    setTimeout(() => response.writeHead(200, { 'content-length': 0 }).end(), 20)
  })
  await using place = await storePlace()
  const wanted = routes([trigger('orders', subscriber.origin)])
  const broker = await startBroker(place.dir, { base, routes: wanted })
  await using _ = broker
  const port = Number(new URL(broker.origin).port)
  const accepted: string[] = []
  const refusals: number[] = []
  const senders = Array.from({ length: SENDERS }, (_, sender) => send(port, `s${sender}`, accepted, refusals))
  const halves = await Promise.all(Array.from({ length: HALVES }, (_, i) => beginHalf(port, `h${i}`)))
  await sleep(LOAD_MS)
  const exit = broker.stop()
  await sleep(300)
  const statuses = halves.map(finish => finish())
  const answers = await Promise.all(statuses)
  answers.forEach((status, i) => {
    if (status === 202) accepted.push(`h${i}`)
  })
  const code = await exit
  await Promise.all(senders)
  const afterwards = await fetch(`${broker.origin}/shop/main`, { method: 'POST' }).then(
    ({ status }) => String(status),
    error => String(error.cause?.code),
  )
  await using next = await startBroker(place.dir, { base: SHIPPED, routes: wanted })
  for (const untilMs = performance.now() + 30_000; (await next.owed()) > 0 && performance.now() < untilMs; )
    await sleep(20)
  return { code, accepted, delivered, halves: answers, refusals, afterwards }
}

function head(id: string, bytes: number): string {
  const lines = ['POST /shop/main HTTP/1.1', 'host: x', 'content-type: text/plain', `content-length: ${bytes}`]
  return `${[...lines, 'ce-specversion: 1.0', `ce-id: ${id}`, 'ce-source: /test', 'ce-type: t'].join('\r\n')}\r\n\r\n`
}

/** Posts on one connection after the other, each until it is closed, and ends when nobody listens. */
async function send(port: number, name: string, accepted: string[], refusals: number[]): Promise<void> {
  for (let sent = 0; ; ) {
    const talk = await connect(port)
    if (talk === undefined) return
    for (;;) {
      const id = `${name}-${sent++}`
      talk.socket.write(`${head(id, 2)}ok`)
      const status = await talk.answer()
      if (status === undefined) break
      if (status === 202) accepted.push(id)
      else refusals.push(status)
    }
    talk.socket.destroy()
  }
}

/** Sends a half of a request. What comes back sends the rest, and resolves with the status. */
async function beginHalf(port: number, id: string): Promise<() => Promise<number | undefined>> {
  const talk = await connect(port)
  assert.ok(talk !== undefined)
  talk.socket.write(`${head(id, 10)}12345`)
  return async () => {
    talk.socket.write('67890')
    const status = await talk.answer()
    talk.socket.destroy()
    return status
  }
}

interface Talk {
  readonly socket: net.Socket
  /** The status of the next answer, or undefined when the connection ended without one. */
  answer(): Promise<number | undefined>
}

async function connect(port: number): Promise<Talk | undefined> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  let over = false
  let wake = () => {}
  socket.on('data', chunk => {
    text += chunk.toString('latin1')
    wake()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    over = true
    wake()
  })
  const answer = async () => {
    for (;;) {
      const end = text.indexOf('\r\n\r\n')
      const length = Number(/content-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
      if (end >= 0 && text.length >= end + 4 + length) {
        const status = Number(text.slice(9, 12))
        text = text.slice(end + 4 + length)
        return status
      }
      if (over) return undefined
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
  }
  try {
    await once(socket, 'connect')
  } catch {
    return undefined
  }
  return { socket, answer }
}

function brokenPromises({ code, accepted, delivered, halves, refusals, afterwards }: Stopped): string[] {
  const broken: string[] = []
  if (code !== 0) broken.push(`exit code ${code}`)
  for (const id of accepted) if (!delivered.has(id)) broken.push(`${id} is lost`)
  for (const status of halves) {
    if (status !== 202 && status !== 503) broken.push(`a request that had begun was answered ${status ?? 'nothing'}`)
  }
  for (const status of refusals) if (status !== 503) broken.push(`refused with ${status}`)
  if (afterwards !== 'ECONNREFUSED') broken.push(`afterwards: ${afterwards}`)
  return broken
}

test('SIGTERM under load answers every request that has begun, loses nothing that was answered 202, and exits with 0', async t => {
  const run = await stopped(SHIPPED)
  t.diagnostic(`${run.accepted.length} accepted, ${run.refusals.length} refused, half sent: ${run.halves}`)
  assert.deepEqual(brokenPromises(run).slice(0, 20), [])
  assert.ok(run.accepted.length > 100, 'too little was sent to prove anything')
})

const MISTAKES = [
  {
    what: 'connections that are cut at the end',
    file: 'broker/listener.ts',
    from: '    server.closeIdleConnections()\n',
    to: '    server.closeAllConnections()\n',
    seen: /answered nothing$/,
  },
  {
    what: 'a stop that gives no answer to who is late',
    file: 'broker/ingress.ts',
    from: "if (state.stopping) return problem('stopping',",
    to: "if (state.stopping) return problem('bad-request',",
    seen: /answered 400$/,
  },
] as const

for (const { what, seen, ...patch } of MISTAKES) {
  test(`the test sees the mistake of ${what}`, async () => {
    using patched = patchedBroker([patch])
    const broken = brokenPromises(await stopped(patched.base))
    assert.ok(
      broken.some(words => seen.test(words)),
      broken.slice(0, 5).join('\n'),
    )
  })
}
