import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { routes, trigger } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { openSubscriber } from '../support/subscriber.ts'
import { patchedBroker, SHIPPED, startBroker } from './child-broker.ts'

const MIB = 1 << 20
/** What may be in flight, for the broker under test. */
const IN_FLIGHT = 32 * MIB
const TRIGGERS = 20
/** Bodies sent at once, 1 MiB each: many times what may be held. */
const UPLOADS = 900
/**
 * Beside what is in flight: bodies being read (as much again), their copies on the way to the disk, the store's cache (64 MiB), and
 * garbage, of which there is more where the machine is busy. Without a bound it is over 2,000.
 */
const MOST_MIB = 900

/** Of a process, since it began. */
function peakMib(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

/** Sends all but the last byte of an event of 1 MiB, and the last one when it is told to. */
function upload(origin: string, id: number): Promise<{ readonly socket: Socket; readonly answered: Promise<string> }> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  const answered = new Promise<string>(resolve => {
    let text = ''
    socket.on('data', piece => {
      text += piece.toString('latin1')
      if (text.includes('\r\n\r\n')) resolve(text.slice(9, 12))
    })
    socket.on('error', () => resolve('gone'))
    socket.on('close', () => resolve('gone'))
  })
  const head = [
    'POST /shop/main HTTP/1.1',
    'host: x',
    `content-length: ${MIB}`,
    'content-type: text/plain',
    'ce-specversion: 1.0',
    `ce-id: ${id}`,
    'ce-source: /test',
    `ce-type: t${id % TRIGGERS}`,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  return new Promise(resolve => {
    const begun = { socket, answered }
    socket.write(Buffer.alloc(MIB - 1, 'x'), () => resolve(begun))
    void answered.then(() => resolve(begun))
  })
}

/** How much memory a broker took at most while far more came than it can hold, and what it answered. */
async function flooded(
  base: string,
): Promise<{ readonly peak: number; readonly answers: ReadonlyMap<string, number> }> {
  await using subscriber = await openSubscriber(() => {}) // hangs
  const wanted = Array.from({ length: TRIGGERS }, (_, i) =>
    trigger(`t${i}`, subscriber.origin, { filters: [{ exact: { type: `t${i}` } }] }),
  )
  await using place = await storePlace()
  const config = { inFlightMaxBytes: IN_FLIGHT, bodyMaxBytes: MIB }
  await using broker = await startBroker(place.dir, { base, routes: routes(wanted), config, quiet: true })
  const answers = new Map<string, number>()
  const begun = await Promise.all(Array.from({ length: UPLOADS }, (_, i) => upload(broker.origin, i)))
  await Promise.all(
    begun.map(async ({ socket, answered }) => {
      socket.write('x')
      const status = await Promise.race([answered, sleep(30_000, 'none')])
      answers.set(status, (answers.get(status) ?? 0) + 1)
      socket.destroy()
    }),
  )
  await sleep(500)
  return { peak: peakMib(broker.pid), answers }
}

test('however much comes at once, memory is bounded by what may be in flight, and the rest is told to come back', async t => {
  const { peak, answers } = await flooded(SHIPPED)
  t.diagnostic(`${UPLOADS} MiB sent at once, at most ${peak.toFixed(0)} MiB resident; ${JSON.stringify([...answers])}`)
  assert.ok(peak <= MOST_MIB, `${peak} MiB`)
  assert.ok((answers.get('503') ?? 0) > 0, 'nobody was told to come back')
  assert.ok((answers.get('202') ?? 0) > 0, 'nothing was taken')
})

test('the test sees the mistake of a budget that takes everything', async t => {
  using patched = patchedBroker([
    { file: 'broker/budget.ts', from: 'return this.#usedBytes + bytes <= this.#maxBytes ||', to: 'return true ||' },
  ])
  const { peak } = await flooded(patched.base)
  t.diagnostic(`at most ${peak.toFixed(0)} MiB resident`)
  assert.ok(peak > MOST_MIB, `${peak} MiB`)
})
