/**
 * `node bench/store.ts [outstanding…]`: the durable store alone: append, lease and settle of one matching Trigger, 1 KiB
 * events, a fixed number outstanding; on an empty store and on a backlog. CPU is user + system of both threads.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventStore } from '../broker/store.ts'
import { openSqliteStore } from '../broker/stores/sqlite.ts'
import { brokerId, triggerId } from '../contract/ids.ts'
import { noAttributes } from '../event/attributes.ts'
import type { CloudEvent } from '../event/event.ts'
import { systemClock } from '../runtime/clock.ts'
import { silentLog } from '../runtime/log.ts'

const WARM_UP = 20_000
const TOTAL = 100_000
const BACKLOG = Number(process.env.BACKLOG ?? 100_000)
const broker = brokerId('default', 'bench')
const trigger = triggerId('default', 'bench')
const idle = triggerId('default', 'idle')
const body = Buffer.alloc(1024, 'x')
let made = 0

function event(): CloudEvent {
  const attributes = Object.assign(noAttributes(), {
    specversion: '1.0',
    id: `bench-${++made}`,
    source: '/bench/orders',
    type: 'bench.order.created',
    datacontenttype: 'application/json',
    time: '2026-11-25T08:00:00.123456789Z',
  })
  return { mode: 'binary', attributes, body }
}

async function open(dir: string, triggers: readonly (readonly [typeof trigger, string])[]): Promise<EventStore> {
  const options = { retentionMs: 24 * 3_600_000, retentionMaxBytes: 1 << 30 }
  const store = await openSqliteStore({ dir, clock: systemClock, log: silentLog, ...options })
  const matched = triggers.map(([id]) => id)
  await store.route({ triggers: triggers.map(([id, uid]) => ({ id, uid, broker })), match: () => matched })
  return store
}

/** Appends `total` events, `outstanding` at a time; everything that comes due is settled at once. */
async function cycle(store: EventStore, outstanding: number, total: number): Promise<void> {
  let left = total
  const sender = async () => {
    while (left-- > 0) await store.append(broker, event(), 255)
  }
  await Promise.all(Array.from({ length: outstanding }, sender))
}

async function measure(name: string, outstanding: number, total: number, work: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage()
  const beganMs = performance.now()
  await work()
  const { user, system } = process.cpuUsage(cpu)
  const perSecond = total / (performance.now() - beganMs)
  const rss = process.memoryUsage.rss() / 2 ** 20
  const us = (value: number) => (value / total).toFixed(2)
  console.log(
    `${name}, ${outstanding} outstanding: ${perSecond.toFixed(1)} k events/s, CPU ${us(user + system)} µs (user ${us(user)}, system ${us(system)}), RSS ${rss.toFixed(0)} MB`,
  )
}

const dir = mkdtempSync(join(tmpdir(), 'weir-bench-store-'))
try {
  for (const outstanding of process.argv.length > 2 ? process.argv.slice(2).map(Number) : [64, 256]) {
    const store = await open(dir, [[trigger, 'uid-1']])
    const settleAll = () => {
      for (const lease of store.lease(trigger, 1000)) store.settle(lease, { kind: 'done' })
    }
    store.onDue(settleAll)
    settleAll()
    await cycle(store, outstanding, WARM_UP)
    await measure('empty', outstanding, TOTAL, () => cycle(store, outstanding, TOTAL))
    await store[Symbol.asyncDispose]()
  }

  let store = await open(dir, [[idle, 'uid-2']])
  await measure('filling a backlog', 256, BACKLOG, () => cycle(store, 256, BACKLOG))
  await store[Symbol.asyncDispose]()
  const beganMs = performance.now()
  store = await open(dir, [
    [idle, 'uid-2'],
    [trigger, 'uid-1'],
  ])
  console.log(`reopened with ${store.counts(idle)?.waiting} waiting in ${(performance.now() - beganMs).toFixed(0)} ms`)
  const settleAll = () => {
    for (const lease of store.lease(trigger, 1000)) store.settle(lease, { kind: 'done' })
  }
  store.onDue(settleAll)
  settleAll()
  await measure('on a backlog that grows', 64, TOTAL, () => cycle(store, 64, TOTAL))
  const waiting = store.counts(idle)?.waiting ?? 0
  await measure('draining a backlog', 64, waiting, async () => {
    await new Promise<void>(resolve => {
      let drained = 0
      const drain = () => {
        for (;;) {
          const leases = store.lease(idle, 64)
          for (const lease of leases) store.settle(lease, { kind: 'done' })
          drained += leases.length
          if (leases.length < 64) break
        }
        if (drained === waiting) resolve()
      }
      store.onDue(id => id === idle && drain())
      drain()
    })
  })
  await store[Symbol.asyncDispose]()
} finally {
  rmSync(dir, { recursive: true, force: true })
}
