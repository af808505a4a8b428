/**
 * `node store-child.ts DIR WORDS`: a process to be killed. Appends events and settles them, for ever, and writes to the file
 * WORDS, which a kill does not lose, what it was promised: `acked ID` after an append resolved, `done ID`, `parked ID` or `postponed ID` before it settles. When the
 * store fails it says so, tries once more, and ends.
 */
import { openSync, writeSync } from 'node:fs'
import type { Lease } from '../../broker/store.ts'
import { systemClock } from '../../runtime/clock.ts'
import { eventOf, orders, routingOf, shop } from '../conformance/event-store.ts'
import { openStoreIn } from './sqlite-store.ts'

const [, , dir = '', words = '', prefix = 'e'] = process.argv
const file = openSync(words, 'a')
const failure = { destination: 'http://127.0.0.1:1/', code: 503, data: '' }
const store = await openStoreIn(dir, systemClock)
await store.route(routingOf([orders, 'uid-1']))
const say = (text: string) => writeSync(file, `${Math.floor(performance.now())} ${text}\n`)
say('open')
// A file that grows above the limit of the process is a failed write, not the end.
process.on('SIGXFSZ', () => {})
store.onFailure(error => {
  say(`failure ${error.code}: ${error.message}`)
  setTimeout(async () => {
    await store.append(shop, eventOf('after'), 255).catch(late => say(`then ${late.code}`))
    await store[Symbol.asyncDispose]()
    process.exit(1)
  }, 100)
})

function settleDue(): void {
  for (let leases = store.lease(orders, 50); leases.length > 0; leases = store.lease(orders, 50)) {
    for (const lease of leases) settle(lease)
  }
}

function settle(lease: Lease): void {
  const id = lease.event.attributes.id
  const roll = lease.seq % 10
  // Some stay in flight, so that a restart meets every state.
  if (roll === 0) return
  if (roll < 7 || lease.attempt > 0) {
    say(`done ${id}`)
    store.settle(lease, { kind: 'done' })
  } else if (roll === 7) {
    say(`parked ${id}`)
    store.settle(lease, { kind: 'parked', failure })
  } else {
    say(`postponed ${id}`)
    store.settle(lease, { kind: 'postponed', dueMs: systemClock.nowMs() + roll * 10, attempt: lease.attempt + 1 })
  }
}

store.onDue(settleDue)
settleDue()
/** Four of the senders send batches: their events have ids of one batch, which is kept whole or not at all. */
const BATCH = 5
let batches = 0
for (let sender = 0; sender < 4; sender++) {
  void (async () => {
    for (;;) {
      const ids = Array.from({ length: BATCH }, (_, i) => `${prefix}-b${batches}.${i}`)
      batches++
      const events = ids.map(id => ({ event: eventOf(id, 'x', `${id} ${'x'.repeat(batches % 900)}`), hops: 255 }))
      try {
        await store.appendAll(shop, events)
      } catch {
        return
      }
      for (const id of ids) say(`acked ${id}`)
      if (batches % 10 === 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
  })()
}
let made = 0
for (let sender = 0; sender < 16; sender++) {
  void (async () => {
    for (;;) {
      const id = `${prefix}-${made++}`
      try {
        await store.append(shop, eventOf(id, 'x', `${id} ${'x'.repeat(made % 3000)}`), 255)
      } catch {
        return
      }
      say(`acked ${id}`)
      if (made % 50 === 0) await new Promise(resolve => setTimeout(resolve, 1))
    }
  })()
}
