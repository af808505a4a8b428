import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { leaseSoon, orders, routingOf } from '../../conformance/event-store.ts'
import { startStoreChild } from '../../support/killed-store.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { openStoreIn, storePlace } from '../../support/sqlite-store.ts'

const ROUNDS = 6
/** Events of one batch of the child. */
const BATCH = 5
/** What was settled this long before the kill is on disk: a repeated delivery is at most this old. Machines may be busy. */
const SETTLED_FOR_SURE_MS = 1500

interface Heard {
  /** Id → when, in ms of the child's own life. */
  readonly acked: Map<string, number>
  readonly settled: Map<string, { readonly how: string; readonly atMs: number }>
  lastMs: number
}

/** Lets a child work for `lifeMs` after it has opened the store, kills it, and returns what it said. */
async function lifeAndDeath(
  dir: string,
  prefix: string,
  lifeMs: number,
  wrapper: readonly string[] = [],
): Promise<Heard> {
  await using child = await startStoreChild(dir, prefix, wrapper)
  await new Promise(resolve => setTimeout(resolve, lifeMs))
  await child.kill()
  const heard: Heard = { acked: new Map(), settled: new Map(), lastMs: 0 }
  for (const line of child.words().split('\n').slice(0, -1)) {
    const [at, what = '', id = ''] = line.split(' ')
    heard.lastMs = Number(at)
    if (what === 'acked') heard.acked.set(id, heard.lastMs)
    else if (id !== '') heard.settled.set(id, { how: what, atMs: heard.lastMs })
  }
  return heard
}

test('kill -9 at any moment loses nothing that was acknowledged, and repeats only what was settled just before', async t => {
  await using place = await storePlace()
  const acked = new Map<string, number>()
  const settled = new Map<string, { readonly how: string; readonly forSure: boolean }>()
  for (let round = 0; round < ROUNDS; round++) {
    const heard = await lifeAndDeath(
      place.dir,
      `r${round}`,
      30 + ((round * 397) % 700) + (round === ROUNDS - 1 ? 2000 : 0),
    )
    for (const [id, atMs] of heard.acked) acked.set(id, atMs)
    for (const [id, { how, atMs }] of heard.settled) {
      settled.set(id, { how, forSure: atMs < heard.lastMs - SETTLED_FOR_SURE_MS })
    }
  }

  const clock = new ManualClock(Date.now())
  await using store = await openStoreIn(place.dir, clock)
  await store.route(routingOf([orders, 'uid-1']))
  const parked = store.counts(orders)?.parked ?? 0
  await clock.advance(60_000) // whatever was postponed is due
  const owed = new Map<string, number>()
  for (let before = -1; owed.size > before; ) {
    before = owed.size
    for (const lease of await leaseSoon(store, orders, 500)) {
      const id = lease.event.attributes.id ?? ''
      assert.equal(owed.has(id), false, `${id} came twice`)
      assert.ok(Buffer.from(lease.event.body).toString().startsWith(`${id} `), `${id} has the body of another`)
      owed.set(id, lease.attempt)
      store.settle(lease, { kind: 'done' })
    }
  }
  assert.equal(store.counts(orders)?.waiting, 0)
  const finished = [...settled.values()].filter(({ how }) => how === 'done').length
  const parkedSaid = [...settled.values()].filter(({ how }) => how === 'parked').length
  t.diagnostic(
    `${acked.size} acknowledged, ${finished} done, ${owed.size} owed, ${parked} parked after ${ROUNDS} kills`,
  )
  assert.ok(acked.size > 500, 'the child did too little to prove anything')

  const lost = [...acked.keys()].filter(id => !owed.has(id) && settled.get(id) === undefined)
  assert.deepEqual(lost, [])
  const seen = [...new Set([...owed.keys(), ...settled.keys()])]
  const batches = Map.groupBy(
    seen.filter(id => id.includes('-b')),
    id => id.slice(0, id.indexOf('.')),
  )
  const torn = [...batches].filter(([, ids]) => ids.length !== BATCH)
  assert.ok(batches.size > 100, 'too few batches to prove anything')
  assert.deepEqual(torn, [], 'part of a batch is kept')
  const lostRetries = [...settled].filter(([id, { how }]) => how === 'postponed' && !owed.has(id))
  assert.deepEqual(lostRetries, [])
  const repeated = [...settled].filter(([id, { how, forSure }]) => how === 'done' && forSure && owed.has(id))
  assert.deepEqual(repeated, [])
  const parkedForSure = [...settled.values()].filter(({ how, forSure }) => how === 'parked' && forSure).length
  assert.ok(parked >= parkedForSure && parked <= parkedSaid, `${parkedForSure} ≤ ${parked} ≤ ${parkedSaid}`)
  assert.equal(
    [...owed].some(([, attempt]) => attempt > 0),
    true,
    'no retry survived',
  )
})

test('on a slow disk nothing is acknowledged before it is written', async t => {
  if (spawnSync('strace', ['-V']).status !== 0) {
    assert.notEqual(process.env.WEIR_REQUIRE_SERVERS, '1', 'strace is required')
    return t.skip('NOT RUN: strace is not here')
  }
  await using place = await storePlace()
  // With -D the child is ours to kill, not the tracer.
  const wal = join(place.dir, 'store.sqlite-wal')
  const slow = ['strace', '-D', '-f', '-o', '/dev/null', '-P', wal, '-e', 'trace=pwrite64']
  const heard = await lifeAndDeath(place.dir, 'e', 500, [...slow, '-e', 'inject=pwrite64:delay_enter=30000'])
  await using store = await openStoreIn(place.dir, new ManualClock(Date.now() + 3_600_000))
  await store.route(routingOf([orders, 'uid-1']))
  const there = new Set((await leaseSoon(store, orders, 5000)).map(lease => lease.event.attributes.id))
  assert.ok(heard.acked.size > 0)
  assert.deepEqual(
    [...heard.acked.keys()].filter(id => !there.has(id) && !heard.settled.has(id)),
    [],
  )
})
