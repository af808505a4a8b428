import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messages } from '../../cli/api.ts'
import { Teller } from '../../cli/tell.ts'
import type { DeliveryView, EventView } from '../../contract/api.ts'
import { event, fakeWeir, startWeir, weir } from './weir.ts'

const uncoloured = (_: unknown, text: string) => text
const of = (state: DeliveryView['state'], attempts: number, last: string | null): DeliveryView => ({
  trigger: 'worker',
  state,
  attempts,
  last,
  tookMs: 12,
  nextDueMs: null,
})
const said = (lines: readonly { line: string }[]) => lines.map(one => one.line.replace(/^.*→ /, ''))

test('each change of a delivery is told once', () => {
  const teller = new Teller({ last: 10 }, uncoloured)
  const hear = (...deliveries: DeliveryView[]) => said(teller.hear([{ ...event, deliveries }], 0))
  assert.deepEqual(hear(of('waiting', 0, null)), [])
  assert.deepEqual(hear(of('retrying', 1, '503')), ['worker  retrying 503, attempt 1'])
  assert.deepEqual(hear(of('retrying', 1, '503')), [])
  assert.deepEqual(hear(of('retrying', 2, '503')), ['worker  retrying 503, attempt 2'])
  assert.deepEqual(hear(of('delivered', 3, '200')), ['worker  delivered 200 12ms, attempt 3'])
})

test('an event that waits is told of after a second, once', () => {
  const teller = new Teller({ last: 10 }, uncoloured)
  teller.hear([{ ...event, deliveries: [of('waiting', 0, null)] }], 0)
  assert.deepEqual(teller.stillWaiting(999), [])
  assert.deepEqual(said(teller.stillWaiting(1000)), ['worker  waiting'])
  assert.deepEqual(teller.stillWaiting(5000), [])
})

test('only the wished Trigger and type are told', () => {
  const deliveries = [of('delivered', 1, '200'), { ...of('delivered', 1, '200'), trigger: 'audit' }]
  const tell = (wish: { trigger?: string; type?: string }) =>
    said(new Teller({ last: 10, ...wish }, uncoloured).hear([{ ...event, deliveries }], 0)).length
  assert.equal(tell({}), 2)
  assert.equal(tell({ trigger: 'audit' }), 1)
  assert.equal(tell({ trigger: 'shop/audit' }), 1)
  assert.equal(tell({ trigger: 'other/audit' }), 0)
  assert.equal(tell({ type: 'order.*' }), 2)
  assert.equal(tell({ type: 'order' }), 0)
  assert.equal(tell({ type: 'order?created' }), 0)
})

test('of what was there before only the last is told, the oldest first', () => {
  const events = [3, 1, 2].map(
    (seq): EventView => ({ ...event, seq, attributes: { ...event.attributes, id: `e${seq}` } }),
  )
  const lines = new Teller({ last: 2 }, uncoloured).hear(events, 0).map(one => one.line)
  assert.deepEqual(
    lines.map(line => /e\d/.exec(line)?.[0]),
    ['e2', 'e3'],
  )
})

test('server-sent events are read however they are cut and whatever ends their lines', async () => {
  const text = (end: string) =>
    ['event: a', 'data: {"x":', 'data: 1}', '', ': beat', '', 'data: 2', '', 'data: not json', '', ''].join(end)
  const expected = [
    { event: 'a', data: { x: 1 } },
    { event: 'message', data: 2 },
  ]
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('\n', '\r\n', '\r'), fc.array(fc.nat(60)), async (end, cuts) => {
      const whole = text(end)
      const places = [...new Set([0, ...cuts.filter(at => at < whole.length), whole.length])].sort((a, b) => a - b)
      async function* chunks() {
        for (let i = 1; i < places.length; i++) yield whole.slice(places[i - 1], places[i])
      }
      const read = []
      for await (const message of messages(chunks())) read.push(message)
      // A CR at the very end may be half of a line end: what it ends is told with the next byte.
      assert.deepEqual(read.slice(0, 2), expected)
    }),
  )
})

test('tail follows over a break of the stream and ends with the world', async () => {
  const fake = await fakeWeir()
  fake.events = [event]
  const { ended, stdout } = startWeir(['tail', '--console', fake.origin])
  const lines = async (count: number) => {
    while (stdout().split('\n').length <= count) await new Promise(resolve => setTimeout(resolve, 5))
  }
  await lines(1)
  fake.hangUp()
  await new Promise(resolve => setTimeout(resolve, 50))
  await fake.reader()
  const next = { ...event, seq: 9, attributes: { ...event.attributes, id: 'e-2' }, deliveries: [] }
  fake.tell('events', [next])
  await lines(2)
  await fake.stop()
  const { code, stderr } = await ended
  assert.equal(code, 0)
  assert.match(stderr, /^following http:\S+, Ctrl-C ends\nWeir at http:\S+ has ended\n$/)
  const [first, second, ...rest] = stdout().trimEnd().split('\n')
  assert.match(first ?? '', /^\d\d:\d\d:\d\d {2}order\.created {2}\/shop {2}e-1 {2}→ worker {2}delivered 200 12ms$/)
  assert.match(second ?? '', /e-2 {2}→ \(no Trigger wanted it\)$/)
  assert.deepEqual(rest, [])
})

test('tail where nothing runs fails at once', async () => {
  const fake = await fakeWeir()
  await fake.stop()
  const { code, stderr } = await weir(['tail', '--console', fake.origin])
  assert.equal(code, 1)
  assert.match(stderr, /no Weir answers at/)
})

test('json is one event a line', async () => {
  const fake = await fakeWeir()
  fake.events = [event]
  const { child, ended, stdout } = startWeir(['tail', '-o', 'json', '--console', fake.origin])
  while (!stdout().includes('\n')) await new Promise(resolve => setTimeout(resolve, 5))
  child.kill('SIGINT')
  await ended
  await fake.stop()
  assert.deepEqual(JSON.parse(stdout()), event)
})

test('a reader that has seen enough ends it, and that is no error', async () => {
  await using fake = await fakeWeir()
  fake.events = [event]
  const { child, ended, stdout } = startWeir(['tail', '--console', fake.origin])
  while (!stdout().includes('\n')) await new Promise(resolve => setTimeout(resolve, 5))
  child.stdout?.destroy()
  let seq = 100
  const more = setInterval(() => fake.tell('events', [{ ...event, seq: seq++ }]), 10)
  const { code, stderr } = await ended
  clearInterval(more)
  assert.equal(code, 0)
  assert.match(stderr, /^following \S+ Ctrl-C ends\n$/)
})
