import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CloudEvent } from '../../event/event.ts'
import { systemClock } from '../../runtime/clock.ts'
import { openDoor } from '../../runtime/door.ts'
import { silentLog } from '../../runtime/log.ts'
import { type SinkCounts, serveSink } from '../../sinks/serve.ts'
import type { EventSink, Sent } from '../../sinks/sink.ts'

/** A door with a sink behind it that does as the test says. */
async function openSink(take: (event: CloudEvent) => Sent) {
  const door = await openDoor({
    host: '127.0.0.1',
    port: 0,
    bodyMaxBytes: 1 << 20,
    clock: systemClock,
    log: silentLog,
  })
  const events: CloudEvent[] = []
  const counts: SinkCounts = { sent: 0, trouble: undefined }
  const sink: EventSink = {
    async send(event) {
      events.push(event)
      return take(event)
    },
    async [Symbol.asyncDispose]() {},
  }
  door.serve('/sinks/x', serveSink(sink, counts))
  const post = (headers: Record<string, string>, body: string, method = 'POST') =>
    fetch(`${door.origin}/sinks/x`, { method, headers, ...(method === 'POST' && { body }) })
  return { events, counts, post, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() }
}

const binary = (id: string) => ({ 'ce-specversion': '1.0', 'ce-id': id, 'ce-source': '/s', 'ce-type': 't' })
const json = (id: string) => ({ specversion: '1.0', id, source: '/s', type: 't', data: id })

test('an event in either mode is taken when the other system has it', async () => {
  await using it = await openSink(() => ({ kind: 'sent' }))
  assert.equal((await it.post({ ...binary('1'), 'content-type': 'text/plain' }, 'hello')).status, 202)
  const structured = await it.post({ 'content-type': 'application/cloudevents+json' }, JSON.stringify(json('2')))
  assert.equal(structured.status, 202)
  assert.deepEqual(
    it.events.map(event => [event.mode, event.attributes.id]),
    [
      ['binary', '1'],
      ['structured', '2'],
    ],
  )
  assert.deepEqual(it.counts, { sent: 2, trouble: undefined })
})

test('what may work later is 503 with Retry-After, and what never will is 400, in the words of the sink', async () => {
  let sent: Sent = { kind: 'again', reason: 'the broker of the topic is down' }
  await using it = await openSink(() => sent)
  const later = await it.post(binary('1'), '')
  assert.equal(later.status, 503)
  assert.equal(later.headers.get('retry-after'), '1')
  assert.match(await later.text(), /the broker of the topic is down/)
  assert.equal(it.counts.trouble, 'the broker of the topic is down')
  sent = { kind: 'refused', reason: 'larger than the topic allows' }
  const never = await it.post(binary('2'), '')
  assert.equal(never.status, 400)
  assert.match(await never.text(), /larger than the topic allows/)
})

test('a batch is taken when all of it is, and answered as the worst of it otherwise', async () => {
  await using it = await openSink(({ attributes }) =>
    attributes.id === 'bad' ? { kind: 'refused', reason: 'no' } : { kind: 'sent' },
  )
  const type = { 'content-type': 'application/cloudevents-batch+json' }
  assert.equal((await it.post(type, JSON.stringify([json('1'), json('2')]))).status, 202)
  assert.equal((await it.post(type, JSON.stringify([json('3'), json('bad')]))).status, 400)
  assert.equal((await it.post(type, '[]')).status, 202)
  assert.equal((await it.post(type, '[{}]')).status, 400)
})

for (const [what, headers, body, method, status] of [
  ['no CloudEvent', { 'content-type': 'application/json' }, '{}', 'POST', 400],
  ['a CloudEvent without an id', { 'ce-specversion': '1.0', 'ce-source': '/s', 'ce-type': 't' }, '', 'POST', 400],
  ['a body that is compressed', { ...binary('1'), 'content-encoding': 'gzip' }, 'x', 'POST', 415],
  ['a GET', {}, '', 'GET', 405],
] as const) {
  test(`${what} is refused with ${status}, and never reaches the other system`, async () => {
    await using it = await openSink(() => assert.fail('it must not be sent'))
    const answer = await it.post(headers, body, method)
    assert.equal(answer.status, status)
    assert.match(String(answer.headers.get('content-type')), /problem\+json/)
  })
}
