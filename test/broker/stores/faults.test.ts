import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { eventOf, ids, leaseSoon, only, orders, routingOf, shop, until } from '../../conformance/event-store.ts'
import { startStoreChild } from '../../support/killed-store.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { openStoreIn, recordingLog, storePlace } from '../../support/sqlite-store.ts'

const routing = routingOf([orders, 'uid-1'])
const MIB = 1 << 20

/** Runs `body` in a file system of `mib` MiB. Not run, and said so, where nobody may mount one. */
async function onSmallDisk(t: TestContext, mib: number, body: (dir: string) => Promise<void>): Promise<void> {
  await using place = await storePlace()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', place.dir])
  if (mounted.status !== 0) {
    assert.notEqual(process.env.WEIR_REQUIRE_SERVERS, '1', 'a file system of its own is required')
    return t.skip('NOT RUN: a file system of its own needs root')
  }
  try {
    await body(place.dir)
  } finally {
    spawnSync('umount', ['-l', place.dir])
  }
}

test('a full disk refuses events, keeps on settling, and is well again when there is room', async t => {
  await onSmallDisk(t, 64, async dir => {
    const clock = new ManualClock()
    const { lines, log } = recordingLog()
    await using store = await openStoreIn(dir, clock, { log })
    await store.route(routing)
    const failures: Error[] = []
    store.onFailure(error => failures.push(error))
    const big = 'x'.repeat(100_000)
    let stored = 0
    await assert.rejects(
      async () => {
        for (;;) {
          await store.append(shop, eventOf(`e${stored}`, 'x', big), 255)
          stored++
        }
      },
      { code: 'store-full' },
    )
    assert.ok(stored > 50, `${stored} events fitted`)
    await assert.rejects(store.append(shop, eventOf('refused'), 255), { code: 'store-full' })
    assert.deepEqual(failures, [])

    const [first, second] = await leaseSoon(store, orders, 2)
    assert.ok(first !== undefined && second !== undefined)
    store.settle(first, { kind: 'postponed', dueMs: clock.nowMs() + 3_600_000, attempt: 1 })
    store.settle(second, { kind: 'done' })
    await store.flush()
    await clock.advance(1000)
    await until(() => lines.some(({ message }) => String(message).startsWith('the disk is full')))

    spawnSync('mount', ['-o', 'remount,size=128m', dir])
    await clock.advance(1000)
    await store.append(shop, eventOf('welcome'), 255)
    assert.equal(lines.filter(({ message }) => message === 'the disk has room again').length, 1)
    await store[Symbol.asyncDispose]()

    await using again = await openStoreIn(dir, clock)
    await again.route(routing)
    const { waiting, retrying } = again.counts(orders) ?? {}
    assert.deepEqual([waiting, retrying], [stored - 1, 1])
    const seen: (string | undefined)[] = []
    while (seen.length < stored - 1) seen.push(...ids(await leaseSoon(again, orders, 50)))
    assert.equal(seen[0], 'e2')
    assert.equal(seen.at(-1), 'welcome')
  })
})

test('a disk that is full of history makes room by itself', async t => {
  await onSmallDisk(t, 64, async dir => {
    const clock = new ManualClock()
    await using store = await openStoreIn(dir, clock)
    await store.route(routing)
    const big = 'x'.repeat(100_000)
    let stored = 0
    let refused = 0
    while (stored < 1500) {
      try {
        await store.append(shop, eventOf(`e${stored}`, 'x', big), 255)
        stored++
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'store-full')
        assert.ok(++refused < 2000, `stuck after ${stored} events`)
      }
      for (const lease of store.lease(orders, 99)) store.settle(lease, { kind: 'done' })
      await clock.advance(50)
      await store.flush()
    }
    assert.ok(stored * big.length > 2 * 64 * MIB)
  })
})

test('a full disk at the start is no reason not to start', async t => {
  await onSmallDisk(t, 64, async dir => {
    const clock = new ManualClock()
    {
      await using store = await openStoreIn(dir, clock)
      await store.route(routing)
      await store.append(shop, eventOf('a'), 255)
      await clock.advance(5)
    }
    const filler = openSync(join(dir, 'filler'), 'w')
    try {
      for (;;) writeSync(filler, Buffer.alloc(64 << 10, 1))
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ENOSPC')
    } finally {
      closeSync(filler)
    }
    await using store = await openStoreIn(dir, clock)
    await store.route(routing)
    store.settle(only(await leaseSoon(store, orders, 1)), { kind: 'done' })
    await store.flush()
    await assert.rejects(store.append(shop, eventOf('b', 'x', 'x'.repeat(2 * MIB)), 255), { code: 'store-full' })
    rmSync(join(dir, 'filler'))
    await clock.advance(1000)
    await store.append(shop, eventOf('c'), 255)
  })
})

/** Runs the child under `wrapper` until it ends by itself, and returns what it said. */
async function childThatFails(dir: string, wrapper: readonly string[]): Promise<{ acked: string[]; said: string }> {
  await using child = await startStoreChild(dir, 'e', wrapper)
  await child.ended(30_000)
  const said = child.words()
  return { acked: [...said.matchAll(/ acked (\S+)\n/g)].map(([, id = '']) => id), said }
}

/** Everything that was acknowledged before the failure holds. */
async function holds(dir: string, acked: readonly string[], said: string): Promise<void> {
  const done = new Set([...said.matchAll(/ (?:done|parked) (\S+)\n/g)].map(([, id = '']) => id))
  const clock = new ManualClock(Date.now())
  await using store = await openStoreIn(dir, clock)
  await store.route(routing)
  await clock.advance(120_000)
  const there = new Set<string | undefined>()
  for (let before = -1; there.size > before; ) {
    before = there.size
    for (const id of ids(await leaseSoon(store, orders, 500))) there.add(id)
  }
  assert.deepEqual(
    acked.filter(id => !there.has(id) && !done.has(id)),
    [],
  )
}

test('a write to the database that fails at a checkpoint is a failure of the store, told once', async () => {
  await using place = await storePlace()
  // The WAL stays below this, the database does not.
  const limited = ['bash', '-c', `ulimit -f ${24 * 1024}; exec "$@"`, 'bash']
  const { acked, said } = await childThatFails(place.dir, limited)
  saysItOnce(said)
  assert.match(said, /failed at commit: a checkpoint failed: disk I\/O error \(SQLite 778\)/)
  assert.ok(statSync(join(place.dir, 'store.sqlite')).size > 20 * MIB)
  await holds(place.dir, acked, said)
})

for (const [what, calls, when] of [
  ['fsync', 'fsync,fdatasync', '30+'],
  ['fsync, once,', 'fsync,fdatasync', '30'],
  ['write to the WAL', 'pwrite64', '80+'],
] as const) {
  test(`a ${what} that fails is a failure of the store, told once, and what was acknowledged holds`, async t => {
    if (spawnSync('strace', ['-V']).status !== 0) {
      assert.notEqual(process.env.WEIR_REQUIRE_SERVERS, '1', 'strace is required')
      return t.skip('NOT RUN: strace is not here')
    }
    await using place = await storePlace()
    await using logs = await storePlace()
    const log = join(logs.dir, 'calls')
    const wal = join(place.dir, 'store.sqlite-wal')
    const inject = `inject=${calls}:error=EIO:when=${when}`
    const traced = ['strace', '-f', '-o', log, '-P', wal, '-e', `trace=${calls}`, '-e', inject]
    const { acked, said } = await childThatFails(place.dir, traced)
    assert.match(readFileSync(log, 'utf8'), /EIO/)
    saysItOnce(said)
    await holds(place.dir, acked, said)
  })
}

/** The failure is told once, in words, and nothing is acknowledged after it. */
function saysItOnce(said: string): void {
  const from = said.search(/^.*failure /m)
  assert.ok(from >= 0, `no failure was told: ${said.slice(-500)}`)
  const end = said.slice(from)
  assert.match(end, /failure store-failed: The store in .* failed at (commit|load|retain): .*SQLite/)
  assert.equal(end.match(/failure /g)?.length, 1)
  assert.match(end, /then store-failed/)
  assert.doesNotMatch(end, /acked/)
}

/** A small generator, so that a failing seed can be run again. */
function dice(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0
  return below => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((((state ^ (state >>> 15)) >>> 0) / 2 ** 32) * below)
  }
}

test('a flipped bit is never delivered: it is found by the checksum, or by SQLite', async t => {
  await using place = await storePlace()
  const clock = new ManualClock()
  const total = 60
  const bodies = new Map<string, string>()
  {
    await using store = await place.open(clock)
    await store.route(routing)
    for (let i = 0; i < total; i++) {
      bodies.set(`e${i}`, `${i} ${'abcdefgh'.repeat(100 + i)}`)
      await store.append(shop, eventOf(`e${i}`, 'x', bodies.get(`e${i}`)), i)
    }
  }
  const outcomes = { whole: 0, parked: 0, refused: 0 }
  for (let seed = 1; seed <= 40; seed++) {
    const roll = dice(seed)
    await using copy = await storePlace()
    cpSync(place.dir, copy.dir, { recursive: true })
    flipBit(join(copy.dir, 'store.sqlite'), roll)
    outcomes[await whatCameBack(copy.dir, clock, bodies, seed)]++
  }
  t.diagnostic(JSON.stringify(outcomes))
  assert.ok(outcomes.parked > 10, 'the flips missed the events')
})

function flipBit(path: string, roll: (below: number) => number): void {
  const file = openSync(path, 'r+')
  try {
    const at = roll(statSync(path).size)
    const byte = Buffer.alloc(1)
    readSync(file, byte, 0, 1, at)
    byte[0] = (byte[0] ?? 0) ^ (1 << roll(8))
    writeSync(file, byte, 0, 1, at)
  } finally {
    closeSync(file)
  }
}

/** Leases everything. Whatever is delivered must be what was stored; the rest must be counted or refused aloud. */
async function whatCameBack(
  dir: string,
  clock: ManualClock,
  bodies: ReadonlyMap<string, string>,
  seed: number,
): Promise<'whole' | 'parked' | 'refused'> {
  const { lines, log } = recordingLog()
  const failures: Error[] = []
  let delivered = 0
  let parked = 0
  try {
    await using store = await openStoreIn(dir, clock, { log })
    store.onFailure(error => failures.push(error))
    await store.route(routing)
    for (const lease of await leaseSoon(store, orders, bodies.size)) {
      const id = lease.event.attributes.id ?? ''
      assert.deepEqual(lease.event.attributes, eventOf(id, 'x').attributes, `seed ${seed}`)
      assert.equal(Buffer.from(lease.event.body).toString(), bodies.get(id), `seed ${seed}`)
      assert.equal(lease.hops, Number(id.slice(1)), `seed ${seed}`)
      delivered++
    }
    parked = store.counts(orders)?.parked ?? 0
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    assert.match(String(error), /cannot be opened|failed at/, `seed ${seed}`)
    return 'refused'
  }
  if (failures.length > 0) return 'refused'
  if (parked > 0)
    assert.ok(
      lines.some(({ level }) => level === 'error'),
      `seed ${seed}`,
    )
  if (delivered + parked === bodies.size) return parked > 0 ? 'parked' : 'whole'
  throw new Error(`seed ${seed}: ${delivered} delivered and ${parked} parked of ${bodies.size}`)
}

test('the folder is not left half made by a crash of the first start', async () => {
  await using place = await storePlace()
  writeFileSync(join(place.dir, 'format.json.new'), '{"for')
  writeFileSync(join(place.dir, 'ballast.new'), 'x')
  await using store = await place.open(new ManualClock())
  await store.route(routing)
  await store.append(shop, eventOf('a'), 255)
  assert.ok(existsSync(join(place.dir, 'format.json')))
})
