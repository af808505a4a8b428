import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { broker, event, fakeWeir, scale, sink, source, startWeir, trigger, weir } from './weir.ts'

const state = {
  brokers: [broker],
  triggers: [trigger, { ...trigger, namespace: 'default', name: 'audit', replicas: null }],
  sources: [source],
  sinks: [sink],
  scale: [scale],
}

test('a table has what a person looks for, in columns', async () => {
  await using fake = await fakeWeir()
  fake.state = state
  const { code, stdout, stderr } = await weir(['get', 'triggers', '--console', fake.origin])
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(
    stdout,
    `NAMESPACE   NAME     BROKER   READY   REPLICAS   BACKLOG   IN-FLIGHT   RETRYING   PARKED   DELIVERED   RATE   OLDEST   REASON
shop        worker   orders   True    2/4 of 8        40          10          0        2        1000   12/s   4s
default     audit    orders   True    -               40          10          0        2        1000   12/s   4s
`,
  )
})

test('wide shows more, a namespace narrows, an unknown lag is not zero', async () => {
  await using fake = await fakeWeir()
  fake.state = state
  const wide = await weir(['get', 'trigger', '-n', 'shop', '-o', 'wide', '--console', fake.origin])
  assert.match(wide.stdout, /^NAME .*SUBSCRIBER .*LAST-ERROR/)
  assert.match(wide.stdout, /status 503/)
  assert.doesNotMatch(wide.stdout, /audit/)
  const sources = await weir(['get', 'sources', '--console', fake.origin])
  assert.match(sources.stdout, /queue +AzureStorageQueueSource +False +\? +0 .*QueueMissing/)
  const sinks = await weir(['get', 'sink', '--console', fake.origin])
  assert.match(sinks.stdout, /out +KafkaSink +True +7 +http:\S+ +the topic is gone/)
})

test('json is what the API said, a NAME gives the one object, name gives words for other commands', async () => {
  await using fake = await fakeWeir()
  fake.state = state
  const get = async (...words: string[]) => (await weir(['get', ...words, '--console', fake.origin])).stdout
  assert.deepEqual(JSON.parse(await get('brokers', '-o', 'json')), [broker])
  assert.deepEqual(JSON.parse(await get('broker', 'orders', '-o', 'json')), broker)
  assert.deepEqual(JSON.parse(await get('all', '-o', 'json')), state)
  assert.equal(await get('triggers', '-o', 'name'), 'trigger/shop/worker\ntrigger/default/audit\n')
  assert.match(await get('scale', 'shop/worker', '-o', 'yaml'), /^namespace: shop\nname: worker\n/)
})

test('all shows every kind under its title', async () => {
  await using fake = await fakeWeir()
  fake.state = state
  const { stdout } = await weir(['get', 'all', '--console', fake.origin])
  assert.deepEqual(stdout.match(/^(BROKERS|TRIGGERS|SOURCES|SINKS|SCALE)$/gm), [
    'BROKERS',
    'TRIGGERS',
    'SOURCES',
    'SINKS',
    'SCALE',
  ])
  assert.match(stdout, /40 waiting, 10 for each replica: 4/)
})

test('events say what became of them, and cannot write to the terminal', async () => {
  await using fake = await fakeWeir()
  const hostile = { ...event, seq: 8, attributes: { ...event.attributes, id: 'a\x1b[2J\u202eb' }, deliveries: [] }
  fake.events = [hostile, event]
  const { stdout } = await weir(['get', 'events', '--console', fake.origin])
  assert.match(stdout, /order\.created +\/shop +e-1 +worker delivered 200 12ms/)
  assert.match(stdout, /no Trigger wanted it/)
  assert.doesNotMatch(stdout, /[^\n\P{Cc}]|\p{Cf}/u)
})

test('a name that is not there fails with the near one', async () => {
  await using fake = await fakeWeir()
  fake.state = state
  const { code, stdout, stderr } = await weir(['get', 'trigger', 'wroker', '--console', fake.origin])
  assert.deepEqual([code, stdout], [1, ''])
  assert.equal(
    stderr,
    'error: no trigger "wroker", did you mean `worker`?\n  try: one of these: shop/worker, default/audit\n',
  )
})

test('nothing to list is said and is no failure', async () => {
  await using fake = await fakeWeir()
  assert.deepEqual(await weir(['get', 'brokers', '--console', fake.origin]), {
    code: 0,
    stdout: '',
    stderr: 'no brokers\n',
  })
})

test('a kind that is not there is wrong input', async () => {
  const { code, stderr } = await weir(['get', 'trigers'])
  assert.equal(code, 2)
  assert.match(stderr, /unknown kind "trigers", did you mean `triggers`\?/)
})

test('no server, a server of something else, and one that answers errors are told apart', async () => {
  const closed = await fakeWeir()
  await closed.stop()
  const none = await weir(['get', 'brokers', '--console', closed.origin])
  assert.equal(none.code, 1)
  assert.match(
    none.stderr,
    /^error: no Weir answers at http:\S+ \(connection refused\)\n {2}try: start one with: weir dev/,
  )

  const other = createServer((_, response) => response.setHeader('content-type', 'text/html').end('<html>hi'))
  other.listen(0, '127.0.0.1')
  await new Promise(resolve => other.once('listening', resolve))
  const html = await weir(['get', 'brokers', '--console', `http://127.0.0.1:${(other.address() as AddressInfo).port}`])
  other.close()
  assert.equal(html.code, 1)
  assert.match(html.stderr, /answered 200: a body of type text\/html\n {2}try: is that the address of a Weir console\?/)
})

test('an address that is none is wrong input', async () => {
  const { code, stderr } = await weir(['get', 'brokers', '--console', 'localhost:9080'])
  assert.equal(code, 2)
  assert.match(stderr, /--console must be an address as in http:\/\/127\.0\.0\.1:9080, not "localhost:9080"/)
})

test('colour is for terminals, or where it is asked for', async () => {
  await using fake = await fakeWeir()
  fake.state = state
  const get = async (env: Record<string, string>) =>
    (await weir(['get', 'brokers', '--console', fake.origin], { env })).stdout.includes('\x1b[')
  assert.equal(await get({}), false)
  assert.equal(await get({ FORCE_COLOR: '1' }), true)
})

test('watch on a pipe adds the lines that changed, and ends with the world', async () => {
  await using fake = await fakeWeir()
  fake.state = { ...state, triggers: [trigger] }
  const { ended, stdout } = startWeir(['get', 'triggers', '--watch', '-o', 'json', '--console', fake.origin])
  await fake.reader()
  fake.tell('state', fake.state)
  fake.tell('state', { ...fake.state, triggers: [{ ...trigger, backlog: 41 }] })
  while (stdout().split('\n').length < 3) await new Promise(resolve => setTimeout(resolve, 5))
  fake.hangUp()
  const { code, stderr } = await ended
  const backlogs = stdout()
    .trimEnd()
    .split('\n')
    .map(line => (JSON.parse(line) as { backlog: number }).backlog)
  assert.deepEqual([code, backlogs], [0, [40, 41]])
  assert.match(stderr, /has ended\n$/)
})
