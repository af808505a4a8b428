import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TriggerView } from '../../contract/api.ts'
import { BROKER_YAML, gotBy, HANDLER, post, startDev, triggerYaml } from './dev-process.ts'
import { eventually, isAlive, tempFolder } from './local.ts'

const EVENTS = 600

test('kill -9 with hundreds of events in the store alone: after a restart every one reaches the worker', async t => {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), BROKER_YAML + triggerYaml('worker', 'handler.mjs', { scale: true }))
  // The first life of the worker says that it is there and never listens, so nothing leaves the store.
  writeFileSync(join(cwd, 'handler.mjs'), `console.log('pid', process.pid); setInterval(() => {}, 1000)`)
  const first = await startDev(t, { cwd, args: ['--data', 'store', 'my.yaml'] })
  const url = `${first.ingress}/default/default`
  const ids = Array.from({ length: EVENTS }, (_, id) => `event-${id}`)
  for (let at = 0; at < EVENTS; at += 50)
    for (const status of await Promise.all(ids.slice(at, at + 50).map(id => post(url, id)))) assert.equal(status, 202)
  const [trigger] = (await (await fetch(`${first.console}/api/v1/triggers`)).json()) as TriggerView[]
  assert.equal(trigger?.backlog, EVENTS)
  const workers = () => [...first.text().matchAll(/worker-\d \| pid (\d+)/g)].map(match => Number(match[1]))
  await eventually('the most workers that are allowed are there', () => workers().length === 4)

  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  await eventually('no process is left', () => !workers().some(isAlive))

  writeFileSync(join(cwd, 'handler.mjs'), HANDLER)
  const second = await startDev(t, { cwd, args: ['--data', 'store', 'my.yaml'] })
  await eventually('every id reached the worker', () => new Set(gotBy(second.text(), 'worker')).size === EVENTS, 30_000)
  assert.deepEqual([...new Set(gotBy(second.text(), 'worker'))].sort(), ids.sort())
  second.child.kill('SIGTERM')
  assert.equal(await second.code, 0)
})

test('a disk that fails ends it with code 1 and a clear line, and what was acknowledged is there afterwards', async t => {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), BROKER_YAML + triggerYaml('worker', 'handler.mjs'))
  writeFileSync(join(cwd, 'handler.mjs'), 'setInterval(() => {}, 1000)')
  const first = await startDev(t, { cwd, args: ['--data', 'store', 'my.yaml'], fileBlocks: 36_000 })
  const acknowledged: string[] = []
  const data = JSON.stringify('x'.repeat(200_000))
  for (let id = 0; id < 200; id++) {
    const status = await post(`${first.ingress}/default/default`, id, 'big', data).catch(() => 0)
    if (status !== 202) break
    acknowledged.push(String(id))
  }
  assert.ok(acknowledged.length > 0 && acknowledged.length < 200)
  assert.equal(await first.code, 1)
  assert.match(first.text(), /^! the store failed, so nothing more is accepted: .*store/m)

  writeFileSync(join(cwd, 'handler.mjs'), HANDLER)
  const second = await startDev(t, { cwd, args: ['--data', 'store', 'my.yaml'] })
  await eventually('every acknowledged id reached the worker', () => {
    const got = new Set(gotBy(second.text(), 'worker'))
    return acknowledged.every(id => got.has(id))
  })
})
