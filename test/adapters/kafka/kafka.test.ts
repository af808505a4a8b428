import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdapterState } from '../../../adapters/adapter.ts'
import { type AdapterJob, runAdapter } from '../../../adapters/registry.ts'
import { consumerGroupOf } from '../../../crds/kafka-source.ts'
import { systemClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { noKafka, openHands, openKafkaServer, sharedKafka } from '../../servers/kafka.ts'
import { accept, idsIn, openSink, type Sink, status } from '../sink.ts'
import { TestTopic } from './topic.ts'

function start(job: AdapterJob, drainMs = 5_000) {
  const stop = new AbortController()
  const states: AdapterState[] = []
  const report = (state: AdapterState) => void states.push(state)
  const ended = runAdapter(
    job,
    { clock: systemClock, random: Math.random, log: silentLog, report, drainMs },
    stop.signal,
  )
  const end = () => {
    stop.abort(new Error('the test is over'))
    return ended
  }
  return { states, last: () => states.at(-1), stop: end, ended, [Symbol.asyncDispose]: end }
}

async function eventually(what: string, holds: () => Promise<boolean> | boolean, withinMs = 30_000): Promise<void> {
  const untilMs = performance.now() + withinMs
  while (!(await holds())) {
    assert.ok(performance.now() < untilMs, `not within ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

const idsOf = (sink: Sink) => sink.seen.map(one => one.id)
const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i + 1}`)

const missing = await noKafka()
if (missing !== false) test('Kafka', { skip: missing })
else tests(await sharedKafka())

function tests(server: Awaited<ReturnType<typeof sharedKafka>>): void {
  const open = async (settings: ConstructorParameters<typeof TestTopic>[1] = {}) => {
    const topic = new TestTopic(server, settings)
    await topic.make()
    return topic
  }

  test('a partition whose events take long does not hold up the others', async () => {
    const topic = await open({ partitions: 4 })
    const isSlow = (id: string) => id.startsWith('partition:0/')
    await topic.put(numbered(120))
    await using sink = await openSink()
    sink.answer = (response, seen, attempt) => {
      if (isSlow(seen.id)) setTimeout(() => accept(response, seen, attempt), 400)
      else accept(response, seen, attempt)
    }
    await using _ = start(topic.job(sink.url))
    await sink.until(() => sink.seen.some(one => isSlow(one.id)))
    const later = (await topic.put(numbered(120))).filter(id => !isSlow(id))
    const startMs = performance.now()
    await eventually('the later ones of the others are there', () => later.every(id => sink.stored.has(id)))
    const tookMs = performance.now() - startMs
    const slow = [...sink.stored.keys()].filter(isSlow).length
    assert.ok(slow < 15, `${slow} of 60 slow ones came before the last fast one, after ${tookMs} ms`)
  })

  test('what is refused and held stops its partition, the others go on, and it is said', async () => {
    const topic = await open({ partitions: 2 })
    const ids = await topic.put(numbered(20))
    await using sink = await openSink()
    sink.answer = (response, seen, attempt) => (seen.id === ids[4] ? status(400) : accept)(response, seen, attempt)
    await using adapter = start(topic.job(sink.url))
    const others = ids.filter(id => id.startsWith('partition:1/'))
    await eventually('the other partition is done', () => others.every(id => sink.stored.has(id)))
    await eventually('it is said', () => /\/0\/2 is refused.*400/.test(adapter.last()?.error ?? ''))
    assert.deepEqual(
      ids.filter(id => id.startsWith('partition:0/') && sink.stored.has(id)),
      ['partition:0/offset:0', 'partition:0/offset:1'],
    )
    await eventually('8 are owed', async () => (await topic.owed()) === 8)
  })

  test('in order, the events of a partition come one after the other, in batches where the sink takes them', async () => {
    const topic = await open({ partitions: 3 })
    await topic.put(numbered(600))
    await using sink = await openSink()
    const job = topic.job(sink.url)
    await using _ = start({ ...job, sink: { ...job.sink, takesBatches: true } })
    await eventually('nothing is owed', async () => (await topic.owed()) === 0)
    const requests = sink.seen.length
    assert.ok(requests < 200, `${requests} requests for 600 events`)
    const events = sink.seen.flatMap(idsIn)
    for (const partition of [0, 1, 2]) {
      const offsets = events
        .filter(id => id.startsWith(`partition:${partition}/`))
        .map(id => Number(id.split(':').at(-1)))
      assert.deepEqual(
        offsets,
        numbered(200).map((_, i) => i),
      )
    }
  })

  test('`latest` begins at the end that was there when it got ready, and misses nothing after that', async () => {
    for (let round = 0; round < 3; round++) {
      const topic = await open({ changes: { initialOffset: 'latest' } })
      await topic.put(numbered(10))
      await using sink = await openSink()
      await using adapter = start(topic.job(sink.url))
      await eventually('it is ready', () => adapter.last()?.ready === true)
      const ids = await topic.put(['one', 'two', 'three'])
      await adapter.stop()
      // Nothing had to be read for the position to be there.
      ids.push(...(await topic.put(['while nobody reads'])))
      await using _ = start(topic.job(sink.url))
      await eventually('all of it came', () => ids.every(id => sink.stored.has(id)))
      assert.equal(sink.seen.length, 4)
    }
  })

  test('partitions that are added later are read from their beginning', async () => {
    const topic = await open({ partitions: 1, changes: { initialOffset: 'latest' } })
    await using sink = await openSink()
    const first = start(topic.job(sink.url))
    await eventually('it is ready', () => first.last()?.ready === true)
    await first.stop()
    await using hands = await openHands(server.broker)
    await hands.admin.createPartitions({ topicPartitions: [{ topic: topic.name, count: 2 }] })
    const sent = await hands.producer.send({ topic: topic.name, messages: [{ value: 'new', partition: 1 }] })
    assert.equal(sent[0]?.partition, 1)
    await using _ = start(topic.job(sink.url))
    await sink.until(() => sink.stored.has('partition:1/offset:0'))
  })

  test('tombstones, empty values, keys and headers arrive', async () => {
    const topic = await open({ partitions: 1 })
    await using hands = await openHands(server.broker)
    await hands.producer.send({
      topic: topic.name,
      messages: [
        { key: 'k', value: null },
        { key: 'k', value: '', headers: { 'Trace-Id': ['first', 'last'] } },
        { value: null, headers: { ce_specversion: '1.0', ce_id: 'x', ce_source: '/s', ce_type: 't' } },
        {
          value: '{"specversion":"1.0","id":"y","source":"/s","type":"t"}',
          headers: { 'Content-Type': 'Application/CloudEvents+json' },
        },
      ],
    })
    await using sink = await openSink()
    await using _ = start(topic.job(sink.url))
    await eventually('nothing is owed', async () => (await topic.owed()) === 0)
    assert.deepEqual(idsOf(sink), ['partition:0/offset:0', 'partition:0/offset:1', 'x', 'y'])
    const [tombstone, empty, bare, structured] = sink.seen
    assert.equal(tombstone?.body.byteLength, 0)
    assert.equal(tombstone?.headers['ce-key'], 'k')
    assert.equal(empty?.headers['ce-kafkaheadertraceid'], 'last')
    assert.equal(bare?.headers['ce-knativekafkaoffset'], '2')
    assert.match(structured?.body.toString() ?? '', /"knativekafkaoffset":3|"knativekafkaoffset":"3"/)
  })

  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
    test(`records that are compressed with ${codec} are read`, async () => {
      const topic = await open({ partitions: 1, config: { 'compression.type': codec } })
      const texts = numbered(50).map(text => text.repeat(50))
      await topic.put(texts)
      await using sink = await openSink()
      await using _ = start(topic.job(sink.url))
      await eventually('nothing is owed', async () => (await topic.owed()) === 0)
      assert.deepEqual(
        sink.seen.map(one => one.body.toString()),
        texts,
      )
    })
  }

  test('records that are gone before they were read are said, and reading goes on at the earliest that is left', async () => {
    const topic = await open({ partitions: 1 })
    await using sink = await openSink()
    await topic.put(numbered(5))
    const first = start(topic.job(sink.url))
    await eventually('nothing is owed', async () => (await topic.owed()) === 0)
    await first.stop()
    await topic.put(numbered(10))
    await using hands = await openHands(server.broker)
    await hands.admin.fetchTopicOffsets(topic.name)
    await hands.admin.deleteTopicRecords({ topic: topic.name, partitions: [{ partition: 0, offset: '12' }] })
    await using adapter = start(topic.job(sink.url))
    await sink.until(() => sink.stored.has('partition:0/offset:14'))
    await eventually('it is said', () => /deleted before they were read/.test(adapter.last()?.error ?? ''))
    assert.deepEqual(idsOf(sink).slice(5), ['partition:0/offset:12', 'partition:0/offset:13', 'partition:0/offset:14'])
  })

  test('a topic that is deleted and made anew while it is read is read from its beginning', async () => {
    const topic = await open({ partitions: 1 })
    await using sink = await openSink()
    await topic.put(numbered(8))
    await using adapter = start(topic.job(sink.url))
    await sink.until(() => sink.stored.size === 8)
    await topic.remove()
    await eventually('it is said', () => adapter.last()?.error !== undefined)
    await topic.make()
    await topic.put(['new 1', 'new 2'])
    await eventually('both came', () =>
      ['new 1', 'new 2'].every(text => sink.seen.some(one => one.body.toString() === text)),
    )
    await eventually('the trouble is over', () => adapter.last()?.error === undefined)
  })

  test('one topic of two is missing: the other is read, it is said, and joins in when it is made', async () => {
    const there = await open({ partitions: 1 })
    const later = new TestTopic(server, { partitions: 1 })
    const [id] = await there.put(['here'])
    await using sink = await openSink()
    const job = there.job(sink.url)
    const source = {
      ...there.source,
      spec: { ...there.source.spec, initialOffset: 'earliest', topics: [there.name, later.name] },
    } as const
    await using adapter = start({ ...job, source })
    await sink.until(() => sink.stored.has(id ?? ''))
    assert.ok(adapter.last()?.error?.includes(later.name))
    assert.equal(adapter.last()?.ready, false)
    await later.make()
    await later.put(['there'])
    await eventually('it joins in', () => sink.seen.some(one => one.body.toString() === 'there'))
    await eventually('all is well', () => adapter.last()?.ready === true && adapter.last()?.error === undefined)
  })

  test('`consumers: 0` reads nothing', async () => {
    const topic = await open({ changes: { consumers: 0 } })
    await topic.put(['one'])
    await using sink = await openSink()
    const paused = start(topic.job(sink.url))
    assert.equal(paused.last()?.error, undefined)
    await paused.stop()
    assert.equal(sink.seen.length, 0)
    assert.equal(await topic.owed(), 1)
  })

  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    test(`a login with ${mechanism} reads, and one with a wrong password is said without it`, async () => {
      const topic = await open()
      const [id] = await topic.put(['one'])
      await using sink = await openSink()
      const ref = { secretKeyRef: { name: 'kafka', key: 'x' } }
      const spec = {
        ...topic.source.spec,
        bootstrapServers: [server.saslBroker],
        net: { sasl: { user: ref, password: ref } },
      }
      const job = { ...topic.job(sink.url), source: { ...topic.source, spec } }
      await using good = start({ ...job, credentials: { user: 'alice', password: 'secret', mechanism } })
      await sink.until(() => sink.stored.has(id ?? ''))
      await good.stop()
      await using bad = start({ ...job, credentials: { user: 'alice', password: 'hunter2', mechanism } })
      await eventually('it is said', () => bad.last()?.error !== undefined)
      assert.match(bad.last()?.error ?? '', /refuses the login/)
      assert.doesNotMatch(JSON.stringify(bad.states), /hunter2/)
    })
  }

  test('TLS reads with the authority it is given, and says what is wrong without it', async () => {
    const topic = await open()
    const [id] = await topic.put(['one'])
    await using sink = await openSink()
    const net = { tls: { caCert: { secretKeyRef: { name: 'kafka', key: 'ca' } } } }
    const spec = { ...topic.source.spec, bootstrapServers: [server.tlsBroker], net }
    const job = { ...topic.job(sink.url), source: { ...topic.source, spec } }
    await using good = start({ ...job, credentials: { ca: await server.ca() } })
    await sink.until(() => sink.stored.has(id ?? ''))
    await good.stop()
    await using bad = start({ ...job, credentials: {} })
    await eventually('it is said', () => /certificate/.test(bad.last()?.error ?? ''))
  })

  test('a broker that hangs is said, and when it answers again reading goes on, without loss', async () => {
    await using own = await openKafkaServer()
    const topic = new TestTopic(own, { partitions: 2 })
    await topic.make()
    await using sink = await openSink()
    sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 10)
    const ids = await topic.put(numbered(300))
    await using adapter = start(topic.job(sink.url))
    await sink.until(() => sink.stored.size > 50)
    await own.hang()
    await eventually('it is said', () => adapter.last()?.error !== undefined, 90_000)
    await own.go()
    ids.push(...(await topic.put(['afterwards'])))
    await eventually('all came', () => ids.every(id => sink.stored.has(id)), 90_000)
    await eventually('nothing is owed', async () => (await topic.owed()) === 0)
    await eventually('the trouble is over', () => adapter.last()?.error === undefined)
  })

  test('members that join and leave while events flow: each event comes, in order within its partition, and once', async () => {
    const topic = await open({ partitions: 6 })
    await using sink = await openSink()
    // Slow enough that events flow all the time.
    sink.answer = (response, seen, attempt) => void setTimeout(() => accept(response, seen, attempt), 20)
    await using stays = start(topic.job(sink.url))
    const ids: string[] = []
    for (let round = 0; round < 3; round++) {
      ids.push(...(await topic.put(numbered(1_200))))
      const guest = start(topic.job(sink.url))
      await eventually('the guest is in', () => guest.last()?.ready === true)
      assert.ok(sink.stored.size < ids.length, 'nothing flowed while it joined')
      await guest.stop()
      assert.ok(sink.stored.size < ids.length, 'nothing flowed while it left')
    }
    await eventually('all came', () => ids.every(id => sink.stored.has(id)), 60_000)
    await eventually('nothing is owed', async () => (await topic.owed()) === 0)
    const twice = [...sink.stored.values()].filter(times => times > 1).length
    assert.equal(stays.last()?.error, undefined)
    assert.equal(twice, 0, `${twice} of ${ids.length} came twice`)
    assert.equal(consumerGroupOf(topic.source), `knative-kafka-source-default-${topic.name}`)
  })
}
