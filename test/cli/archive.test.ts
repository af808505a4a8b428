import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { answering, eventually, openSubscriber } from '../support/subscriber.ts'
import { emptyDir, startWeir, weir } from './weir.ts'

function yamlOf(url: string): string {
  const trigger = (name: string, filters: string) => `---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: ${name}}
spec: {broker: default, filters: [${filters}], subscriber: {uri: "${url}/${name}"}}
`
  return `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
${trigger('orders', '{exact: {type: order}}')}${trigger('audit', '{prefix: {source: /audit}}')}`
}

/** A world of its own, with a handler that refuses until it is told otherwise. */
async function openWorld() {
  let status = 422
  const handler = await openSubscriber((received, response, count) =>
    answering(status, {}, status === 422 ? 'no stock' : '')(received, response, count),
  )
  const dir = emptyDir()
  writeFileSync(join(dir, 'events.yaml'), yamlOf(handler.origin))
  const dev = startWeir(['dev', '--port', '0', '--console-port', '0'], { cwd: dir })
  let door = ''
  let page = ''
  await eventually(() => {
    const said = dev.stdout()
    door = /(http:\/\/127\.0\.0\.1:\d+)\/default\/default\s/.exec(said)?.[0].trimEnd() ?? ''
    const origins = [...said.matchAll(/http:\/\/127\.0\.0\.1:\d+(?=[\s/])/g)].map(([url]) => url)
    page = origins.find(url => !door.startsWith(url)) ?? ''
    return door !== '' && page !== ''
  })
  return {
    handler,
    run: (...words: string[]) => weir([...words, '--console', page]),
    send: (type: string, ...more: string[]) => weir(['send', type, '--url', door, '--console', page, ...more]),
    works: () => {
      status = 200
    },
    async [Symbol.asyncDispose]() {
      dev.child.kill('SIGTERM')
      await dev.ended
      await handler[Symbol.asyncDispose]()
    },
  }
}

test('parked events are listed, explained, redriven, replayed and given up from the command line', async () => {
  await using it = await openWorld()
  for (const id of ['a', 'b', 'c']) assert.equal((await it.send('order', '--id', id)).code, 0)
  await it.send('other')
  await eventually(() => it.handler.received.length === 3)

  const list = await it.run('dlq', 'orders')
  assert.match(list.stdout, /SEQ.*\n +1 .*a +1 +422 +no stock\n/s)
  assert.equal((await it.run('dlq', 'orders', '--text', 'nothing', '-o', 'name')).stdout, '')
  const [first = '', second = ''] = (await it.run('dlq', 'list', 'orders', '-o', 'name')).stdout.split('\n')

  const explained = (await it.run('event', 'a')).stdout
  assert.match(explained, /orders {2}parked\n.*attempt 1 {2}422 no stock.*→ parked/s)
  assert.match(explained, /audit {2}did not match: spec\.filters\[0\]\.prefix\.source/)

  const exported = (await it.run('dlq', 'export', 'orders')).stdout.trimEnd().split('\n')
  assert.deepEqual(
    exported.map(line => JSON.parse(line).id),
    ['a', 'b', 'c'],
  )

  it.works()
  assert.equal((await it.run('dlq', 'redrive', 'orders', first)).stdout, '1 redriven\n')
  assert.equal((await it.run('dlq', 'discard', 'orders', second)).code, 2, 'not without --yes')
  assert.equal((await it.run('dlq', 'discard', 'orders', second, '--yes')).stdout, '1 discarded\n')
  assert.equal((await it.run('dlq', 'redrive', 'orders', '--all', '--rate', '100')).stdout, '1 redriven\n')
  await eventually(() => it.handler.received.length === 5)
  assert.match((await it.run('dlq', 'orders')).stderr, /nothing of orders is parked/)

  assert.equal((await it.run('replay', '--from', '1h', '--to-trigger', 'orders', '--dry-run')).stdout, '3\n')
  assert.equal((await it.run('replay', '--from', '1h', '--to-trigger', 'orders')).stdout, '3 replayed\n')
  await eventually(() => it.handler.received.length === 8)
  const elsewhere = `${it.handler.origin}/elsewhere`
  assert.equal((await it.run('replay', '--from', 'seq:2', '--to-url', elsewhere)).stdout, '3 replayed\n')
  assert.equal(it.handler.received.filter(one => one.path === '/elsewhere').length, 3)

  assert.match((await it.run('pause', 'orders')).stdout, /^default\/orders is paused/)
  await it.send('order', '--id', 'd')
  assert.match((await it.run('get', 'triggers', 'orders', '-o', 'json')).stdout, /"stopped": "pause"/)
  assert.match((await it.run('resume', 'orders')).stdout, /^default\/orders goes on/)
  await eventually(() => it.handler.received.some(one => one.headers['ce-id'] === 'd'))
})

test('what was mistyped is told in one line, with what to do', async () => {
  await using it = await openWorld()
  for (const [words, code, told] of [
    [['dlq', 'order'], 1, /did you mean `default\/orders`\?/],
    [['dlq', 'redrive', 'orders'], 2, /which events of orders\?/],
    [['dlq', 'redrive', 'orders', 'x'], 2, /is no seq/],
    [['event', 'nobody'], 1, /No event of this seq or id/],
    [['replay', '--from', 'soon', '--to-trigger', 'orders'], 2, /"soon" is no time/],
    [['replay', '--from', '1h'], 2, /where to\?/],
    [['replay', '--from', '1h', '--to-trigger', 'nobody'], 1, /no Trigger default\/nobody/],
    [['token', '--audience', 'x'], 1, /no Weir runs here/],
    [['pause', 'Orders!'], 2, /NAME or NAMESPACE\/NAME/],
  ] as const) {
    const { code: ended, stderr } = await (words[0] === 'token' ? weir(words) : it.run(...words))
    assert.equal(ended, code, `${words.join(' ')}: ${stderr}`)
    assert.match(stderr, told)
  }
})
