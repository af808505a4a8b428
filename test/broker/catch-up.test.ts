import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRunning, type Running, routes, trigger } from '../support/running-broker.ts'
import { eventually, openSubscriber } from '../support/subscriber.ts'

async function place() {
  const dataDir = mkdtempSync(join(tmpdir(), 'weir-start-'))
  const subscriber = await openSubscriber()
  const ids = (path: string) => subscriber.received.filter(one => one.path === path).map(one => one.headers['ce-id'])
  return {
    dataDir,
    at: (path: string) => `${subscriber.origin}${path}`,
    ids,
    async [Symbol.asyncDispose]() {
      await subscriber[Symbol.asyncDispose]()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

const told = (running: Running) => running.logged.filter(({ message }) => message.startsWith('a new Trigger was given'))

test('a new Trigger that asks for it is given what was kept and fits, each once, and then what comes', async () => {
  await using it = await place()
  await using running = await openRunning({ dataDir: it.dataDir })
  const first = trigger('first', it.at('/first'))
  await running.broker.apply(routes([first]))
  for (let i = 0; i < 20; i++) await running.post({ id: `e${i}`, type: i % 2 === 0 ? 'even' : 'odd' })
  await eventually(() => it.ids('/first').length === 20)

  const late = trigger('late', it.at('/late'), { start: 'earliest', filters: [{ exact: { type: 'even' } }] })
  const now = trigger('now', it.at('/now'))
  const posting = (async () => {
    for (let i = 20; i < 40; i++) await running.post({ id: `e${i}`, type: 'even' })
  })()
  await running.broker.apply(routes([first, late, now]))
  await posting
  await running.post({ id: 'last', type: 'even' })
  await eventually(() => it.ids('/late').includes('last') && told(running).length === 1)
  await eventually(() => it.ids('/late').length >= 31)
  const expected = [
    ...Array.from({ length: 10 }, (_, i) => `e${2 * i}`),
    ...Array.from({ length: 20 }, (_, i) => `e${20 + i}`),
  ]
  assert.deepEqual([...it.ids('/late')].sort(), [...expected, 'last'].sort())
  assert.ok(!it.ids('/now').includes('e0'), 'nobody else is given what is over')

  await running.broker.apply(routes([first, late, { ...now, start: 'earliest' }]))
  await running.post({ id: 'end', type: 'even' })
  await eventually(() => it.ids('/now').includes('end'))
  assert.ok(!it.ids('/now').includes('e0'), 'what was not asked for when it was new is not asked for later')
})

test('a Trigger may ask for what came since a time', async () => {
  await using it = await place()
  await using running = await openRunning({ dataDir: it.dataDir })
  await running.broker.apply(routes([]))
  await running.post({ id: 'before' })
  await new Promise(resolve => setTimeout(resolve, 20))
  const sinceMs = Date.now()
  await running.post({ id: 'after' })
  await running.broker.apply(routes([trigger('late', it.at('/late'), { start: sinceMs })]))
  await eventually(() => it.ids('/late').length > 0)
  assert.deepEqual(it.ids('/late'), ['after'])
})

test('a Trigger that has caught up does not begin again with the next process', async () => {
  await using it = await place()
  const late = trigger('late', it.at('/late'), { start: 'earliest' })
  for (const life of [1, 2]) {
    await using running = await openRunning({ dataDir: it.dataDir })
    if (life === 1) {
      await running.broker.apply(routes([]))
      await running.post({ id: 'a' })
    }
    await running.broker.apply(routes([late]))
    await running.post({ id: `life${life}` })
    await eventually(() => it.ids('/late').includes(`life${life}`) && it.ids('/late').includes('a'))
  }
  assert.deepEqual(it.ids('/late').filter(id => id === 'a').length, 1)
})
