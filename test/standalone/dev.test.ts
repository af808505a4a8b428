import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findWorld } from '../../standalone/state-file.ts'
import { BROKER_YAML, gotBy, HANDLER, pidsOf, post, spawnDev, startDev, triggerYaml } from './dev-process.ts'
import { eventually, isAlive, tempFolder } from './local.ts'

function project(t: TestContext, yaml: string, handler = HANDLER): string {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), yaml)
  writeFileSync(join(cwd, 'handler.mjs'), handler)
  return cwd
}

test('an event that is posted reaches a plain handler, and Ctrl-C ends everything with code 0', async t => {
  const cwd = project(t, triggerYaml('orders', 'handler.mjs'))
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  assert.match(dev.text(), /Broker default\/default is not in the YAML/)
  assert.equal(await post(`${dev.ingress}/default/default`, 'e1'), 202)
  await eventually('the handler got it', () => gotBy(dev.text(), 'orders').includes('e1'))
  const place = { env: { XDG_RUNTIME_DIR: cwd }, tempDir: '', uid: process.getuid?.() }
  const found = await findWorld(cwd, place)
  assert.deepEqual(found, { ingress: dev.ingress, console: dev.console, pid: dev.child.pid })
  const [pid = 0] = pidsOf(dev.text(), 'orders')

  dev.child.kill('SIGINT')
  assert.equal(await dev.code, 0)
  assert.match(dev.text(), /nothing was owed: no event is discarded\n$/)
  assert.ok(!isAlive(pid))
  assert.equal(await findWorld(cwd, place), undefined)
})

test('Ctrl-C says how many events it discards', async t => {
  const yaml = triggerYaml('sleepy', 'handler.mjs', { scale: true })
  const cwd = project(t, yaml, 'setInterval(() => {}, 1000)')
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  for (let id = 0; id < 3; id++) assert.equal(await post(`${dev.ingress}/default/default`, id), 202)
  dev.child.kill('SIGINT')
  assert.equal(await dev.code, 0)
  assert.match(dev.text(), /3 events not delivered, discarded with this process \(--data DIR keeps them\)\n$/)
})

test('a third Trigger takes effect while events flow, and the other two do not notice', async t => {
  const two = triggerYaml('one', 'handler.mjs') + triggerYaml('two', 'handler.mjs')
  const cwd = project(t, two)
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  const url = `${dev.ingress}/default/default`
  let sent = 0
  const send = async () => assert.equal(await post(url, sent++), 202)
  while (sent < 50) await send()
  writeFileSync(join(cwd, 'my.yaml'), two + triggerYaml('three', 'handler.mjs'))
  await eventually('the third gets events', async () => {
    await send()
    return gotBy(dev.text(), 'three').length > 0
  })
  await eventually(
    'all arrived',
    () => gotBy(dev.text(), 'one').length >= sent && gotBy(dev.text(), 'two').length >= sent,
  )
  const all = Array.from({ length: sent }, (_, id) => String(id)).sort()
  for (const name of ['one', 'two']) {
    assert.deepEqual(gotBy(dev.text(), name).sort(), all, 'each event once')
    assert.equal(pidsOf(dev.text(), name).length, 1, 'by the same process')
  }
  await eventually('it was said', () => /added Trigger default\/three/.test(dev.text()))
})

test('a bad edit keeps the last good state and says so, a good one says that it is mended', async t => {
  const good = BROKER_YAML + triggerYaml('orders', 'handler.mjs')
  const cwd = project(t, good)
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  writeFileSync(join(cwd, 'my.yaml'), good.replace('subscriber', 'subscribber'))
  await eventually('the mistake is said', () => /my\.yaml:\d+:\d+: .*subscribber/.test(dev.text()))
  await eventually('and what follows', () => /the last good state goes on/.test(dev.text()))
  assert.equal(await post(`${dev.ingress}/default/default`, 'still'), 202)
  await eventually('it still works', () => gotBy(dev.text(), 'orders').includes('still'))
  writeFileSync(join(cwd, 'my.yaml'), good)
  await eventually('it is mended', () => /the files are right again/.test(dev.text()))
})

test('an emptied file deletes no Trigger that owes events, and mending it loses none', async t => {
  const yaml = BROKER_YAML + triggerYaml('orders', 'handler.mjs', { scale: true })
  // Takes its time to listen, so that events wait while the file is empty.
  const cwd = project(
    t,
    yaml,
    `setTimeout(async () => {\n${HANDLER.replace(/^import.*\n/, `const { createServer } = await import('node:http')\n`)}}, 1500)`,
  )
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  for (let id = 0; id < 5; id++) assert.equal(await post(`${dev.ingress}/default/default`, id), 202)
  writeFileSync(join(cwd, 'my.yaml'), '')
  await eventually('it is said', () =>
    /no longer has Trigger default\/orders, which still owes events/.test(dev.text()),
  )
  writeFileSync(join(cwd, 'my.yaml'), yaml)
  await eventually('all arrived', () => gotBy(dev.text(), 'orders').length === 5)
})

test('wrong YAML ends with code 2 and every mistake in its place, before anything is opened', async t => {
  const cwd = project(t, 'kind: Broker\n---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {}\n')
  const dev = spawnDev(t, ['--data', 'store', 'my.yaml', 'missing.yaml'], { cwd })
  assert.equal(await dev.code, 2)
  assert.match(dev.text(), /^my\.yaml:1:\d+: /m)
  assert.match(dev.text(), /^my\.yaml:5:\d+: /m)
  assert.match(dev.text(), /^missing\.yaml:1:1: there is no such file or folder$/m)
  assert.ok(!readdirSync(cwd).includes('store'))
})

test('a port that was asked for and is taken ends with code 1 and says what to do', async t => {
  const cwd = project(t, BROKER_YAML)
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const dev = spawnDev(t, ['--port', String(port), '--console-port', '0', 'my.yaml'], { cwd })
  assert.equal(await dev.code, 1)
  assert.match(dev.text(), new RegExp(`weir dev cannot start: port ${port} of the ingress is taken .*--port`))
})

test('a second Ctrl-C does not wait, and leaves no process behind', async t => {
  const stubborn = `import { createServer } from 'node:http'
process.on('SIGTERM', () => {})
createServer(() => console.log('got', 'it', 'pid', process.pid)).listen(process.env.PORT)`
  const cwd = project(t, triggerYaml('slow', 'handler.mjs'), stubborn)
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  await post(`${dev.ingress}/default/default`, 1)
  await eventually('it holds a request', () => pidsOf(dev.text(), 'slow').length === 1)
  dev.child.kill('SIGINT')
  await eventually('it drains', () => /SIGINT: draining, 1 request in flight/.test(dev.text()))
  dev.child.kill('SIGINT')
  assert.equal(await dev.code, 130)
  const [pid = 0] = pidsOf(dev.text(), 'slow')
  await eventually('no process is left', () => !isAlive(pid))
})
