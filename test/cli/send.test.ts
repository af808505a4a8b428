import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { HTTP } from 'cloudevents'
import { outcomeLines } from '../../cli/wait.ts'
import { emptyDir, event, type FakeWeir, fakeWeir, weir } from './weir.ts'

function send(fake: FakeWeir, ...words: string[]) {
  return weir(['send', ...words, '--url', `${fake.origin}/default/default`, '--console', fake.origin])
}

test('an event arrives that the CloudEvents SDK takes', async () => {
  await using fake = await fakeWeir()
  const { code, stdout, stderr } = await send(
    fake,
    'order.created',
    'total:=42',
    'customer.name=Ada',
    'customer.vip:=true',
    '-a',
    'subject=é "1"',
  )
  assert.deepEqual([code, stdout], [0, ''])
  assert.match(stderr, /^✓ accepted by http:\S+\/default\/default\n$/)
  const [posted] = fake.posted
  assert.ok(posted)
  const read = HTTP.toEvent({ headers: posted.headers, body: posted.body })
  assert.ok(!Array.isArray(read))
  assert.deepEqual(read.data, { total: 42, customer: { name: 'Ada', vip: true } })
  assert.deepEqual([read.type, read.source, read.datacontenttype], ['order.created', '/weir/send', 'application/json'])
  assert.equal(posted.headers['ce-subject'], '%C3%A9%20%221%22')
  assert.ok(Math.abs(Date.parse(read.time ?? '') - Date.now()) < 60_000)
})

test('data comes from an argument, a file or standard input, with the type that fits', async () => {
  await using fake = await fakeWeir()
  const cwd = emptyDir()
  writeFileSync(join(cwd, 'a.json'), '{"a": 1}')
  writeFileSync(join(cwd, 'b.bin'), Buffer.from([0xff, 0x00]))
  const to = ['--url', fake.origin, '--console', fake.origin]
  for (const [data, input] of [
    ['@a.json', ''],
    ['@b.bin', ''],
    ['plain words', ''],
    ['[1]', ''],
    ['-', '{"piped": true}'],
  ] as const)
    assert.equal((await weir(['send', 't', '--data', data, ...to], { cwd, input })).code, 0)
  assert.equal((await weir(['send', 't', ...to])).code, 0)
  assert.deepEqual(
    fake.posted.map(one => one.headers['content-type']),
    [
      'application/json',
      'application/octet-stream',
      'text/plain; charset=utf-8',
      'application/json',
      'application/json',
      undefined,
    ],
  )
  assert.equal(fake.posted[0]?.body, '{"a": 1}')
  assert.equal(fake.posted[4]?.body, '{"piped": true}')
})

test('many events have ids of their own and keep to the rate', async () => {
  await using fake = await fakeWeir()
  const { stderr } = await send(fake, 't', '--count', '21', '--rate', '100', '--id', 'x')
  const times = fake.posted.map(one => one.atMs)
  assert.ok(Math.max(...times) - Math.min(...times) >= 150, `${times}`)
  assert.match(stderr, /✓ accepted 21 of 21 events in \S+ by/)
  assert.equal(new Set(fake.posted.map(one => one.headers['ce-id'])).size, 21)
  assert.ok(fake.posted.some(one => one.headers['ce-id'] === 'x-21'))
})

test('a refusal is told in the words of the server, with exit code 1', async () => {
  await using fake = await fakeWeir()
  fake.door = (_, response) =>
    response
      .writeHead(404, { 'content-type': 'application/problem+json' })
      .end('{"title":"Unknown Broker","detail":"there is no Broker default/default"}')
  const { code, stderr } = await send(fake, 't')
  assert.equal(code, 1)
  assert.match(stderr, /^✗ refused by \S+ with 404: there is no Broker default\/default\n {2}try: weir get brokers\n$/)
})

test('a door that asks to come back later is asked again', async () => {
  await using fake = await fakeWeir()
  let asked = 0
  fake.door = (_, response) => response.writeHead(++asked < 3 ? 503 : 202, { 'retry-after': '0' }).end()
  assert.equal((await send(fake, 't')).code, 0)
  assert.equal(asked, 3)
  assert.equal(new Set(fake.posted.map(one => one.headers['ce-id'])).size, 1)
})

for (const [state, code] of [
  ['delivered', 0],
  ['parked', 1],
  ['dead-lettered', 1],
] as const) {
  test(`--wait says that it was ${state} and ends with ${code}`, async () => {
    await using fake = await fakeWeir()
    const [delivery] = event.deliveries
    assert.ok(delivery)
    fake.door = (request, response) => {
      const attributes = { id: String(request.headers['ce-id']), source: '/weir/send', type: 't' }
      const waiting = { ...delivery, state: 'waiting' as const, attempts: 0, last: null }
      fake.events = [{ ...event, attributes, deliveries: [waiting] }]
      setTimeout(() => {
        fake.events = [{ ...event, attributes, deliveries: [{ ...delivery, state }] }]
      }, 50)
      response.writeHead(202).end()
    }
    const ended = await send(fake, 't', '--wait', '-o', 'json')
    assert.equal(ended.code, code)
    assert.match(ended.stderr, new RegExp(`worker {2}${state} 200`))
    const said = JSON.parse(ended.stdout) as { status: number; outcome: string; deliveries: unknown[] }
    assert.deepEqual(
      [said.status, said.outcome, said.deliveries.length],
      [202, state === 'delivered' ? 'delivered' : 'failed', 1],
    )
  })
}

test('--wait for an event that nobody wants, and for one that stays open, ends with 1', async () => {
  await using fake = await fakeWeir()
  fake.door = (request, response) => {
    fake.events = [
      { ...event, attributes: { id: String(request.headers['ce-id']), source: '/weir/send' }, deliveries: [] },
    ]
    response.writeHead(202).end()
  }
  const unwanted = await send(fake, 't', '--wait')
  assert.equal(unwanted.code, 1)
  assert.match(unwanted.stderr, /no Trigger wanted it/)
  fake.door = (_, response) => response.writeHead(202).end()
  fake.events = []
  const open = await send(fake, 't', '--wait', '--timeout', '0.2')
  assert.equal(open.code, 1)
  assert.match(open.stderr, /not seen after 200ms/)
})

test('what became of many events is summed up', () => {
  const [delivery] = event.deliveries
  assert.ok(delivery)
  const outcome = (tookMs: number) => ({ id: 'x', kind: 'delivered' as const, deliveries: [{ ...delivery, tookMs }] })
  const late = {
    id: 'y',
    kind: 'open' as const,
    deliveries: [{ ...delivery, state: 'waiting' as const, attempts: 0, last: null, tookMs: null }],
  }
  assert.deepEqual(outcomeLines([outcome(5), outcome(1500), outcome(7), late], 60_000), [
    '3 × worker  delivered 200 5ms to 1.5s',
    '1 × worker  waiting',
    '1 × still open after 60s',
  ])
})

test('wrong input sends nothing and ends with 2', async () => {
  await using fake = await fakeWeir()
  for (const [words, message] of [
    [['t', 'total'], /"total" is neither NAME=TEXT nor NAME:=JSON/],
    [['t', 'total:=x'], /is no JSON/],
    [['t', 'a=1', 'a.b=2'], /sets what another word has set/],
    [['t', 'a=1', '--data', 'x'], /the data is given twice/],
    [['t', '--data', '@nothing.json'], /--data @nothing\.json: .*no such file/],
    [['t', '-a', 'Subject=x'], /is no attribute name/],
    [['t', '-a', 'time=yesterday'], /this is no CloudEvent: .*time/],
    [['', 'a=1'], /this is no CloudEvent: .*type/],
    [['t', '--count', '0'], /It must be a whole number above 0/],
    [['t', '--count', '2000', '--wait'], /--wait follows at most 1000 events/],
    [['t', '--broker', 'a/b/c'], /--broker must be NAMESPACE\/NAME, not "a\/b\/c"/],
  ] as const) {
    const { code, stderr } = await send(fake, ...words)
    assert.equal(code, 2, stderr)
    assert.match(stderr, message)
  }
  assert.equal(fake.posted.length, 0)
})

test('a server that is not there fails once, not once for every event', async () => {
  const fake = await fakeWeir()
  await fake.stop()
  const { code, stderr } = await send(fake, 't', '--count', '50')
  assert.equal(code, 1)
  assert.equal(stderr.match(/connection refused/g)?.length, 1)
})
