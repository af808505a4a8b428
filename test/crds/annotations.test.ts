import assert from 'node:assert/strict'
import { test } from 'node:test'
import { annotationMistakes, readKnobs, readQuota, readScaleAnnotations } from '../../crds/annotations.ts'

const of = (annotations: Record<string, string>) => ({ annotations })

test('without annotations everything has its default', () => {
  assert.deepEqual(readKnobs(of({})), {
    concurrency: undefined,
    reply: 'lenient',
    store: 'durable',
    backoffMaxMs: undefined,
    order: undefined,
    batch: undefined,
    concurrencyTotal: undefined,
    ratePerSecond: undefined,
    adaptive: false,
    circuitFailures: undefined,
    circuitWaitMs: undefined,
    paused: false,
    dedupMs: undefined,
    deliverAfter: 'ignore',
    expiry: 'ignore',
    start: 'now',
    filterData: undefined,
    mistakes: [],
  })
  assert.deepEqual(readScaleAnnotations(of({ 'weir.dev/reply': 'strict' })), { kind: 'absent' })
})

test('a value that cannot be read counts as not given and is told', () => {
  const knobs = readKnobs(
    of({ 'weir.dev/concurrency': '0', 'weir.dev/backoff-max': '10m', 'weir.dev/reply': 'strict' }),
  )
  assert.equal(knobs.concurrency, undefined)
  assert.equal(knobs.reply, 'strict')
  assert.deepEqual(knobs.mistakes, [
    'annotation `weir.dev/concurrency` must be a whole number from 1 to 100000, not "0"',
    'annotation `weir.dev/backoff-max` must be an ISO 8601 duration (write "PT10M"), not "10m"',
  ])
})

test('the newer family wins over the older ones, name by name', () => {
  const scale = readScaleAnnotations(
    of({
      'autoscaling.eventing.knative.dev/min-scale': '1',
      'autoscaling.knative.dev/minScale': '2',
      'autoscaling.knative.dev/maxScale': '9',
      'keda.autoscaling.knative.dev/kafkaLagThreshold': '7',
      'keda.autoscaling.knative.dev/cooldownPeriod': '0',
      'autoscaling.eventing.knative.dev/polling-interval': '5',
    }),
  )
  assert.deepEqual(scale, {
    kind: 'declared',
    min: 1,
    max: 9,
    lag: 7,
    activation: undefined,
    pollMs: 5000,
    cooldownMs: 0,
    mistakes: [],
  })
})

test('an annotation nobody knows is told beside those that its kind can have', () => {
  const [told] = annotationMistakes('Broker', { 'weir.dev/colour': 'red' })
  assert.equal(
    told?.message,
    'unknown annotation `weir.dev/colour`; known are weir.dev/store, weir.dev/backoff-max, weir.dev/dedup-window',
  )
})

const read: readonly [name: string, text: string, knob: string, value: unknown][] = [
  ['weir.dev/concurrency-total', '5', 'concurrencyTotal', 5],
  ['weir.dev/rate-per-second', '0.5', 'ratePerSecond', 0.5],
  ['weir.dev/adaptive', 'true', 'adaptive', true],
  ['weir.dev/circuit-failures', '3', 'circuitFailures', 3],
  ['weir.dev/circuit-wait', 'PT1M', 'circuitWaitMs', 60_000],
  ['weir.dev/paused', 'true', 'paused', true],
  ['weir.dev/dedup-window', 'PT10M', 'dedupMs', 600_000],
  ['weir.dev/deliver-after', 'honour', 'deliverAfter', 'honour'],
  ['weir.dev/expiry', 'dead-letter', 'expiry', 'dead-letter'],
  ['weir.dev/start', 'earliest', 'start', 'earliest'],
  ['weir.dev/start', '2026-01-31T08:00:00+01:00', 'start', Date.UTC(2026, 0, 31, 7)],
  ['weir.dev/filter-data', 'data.total > 5', 'filterData', 'data.total > 5'],
  ['weir.dev/order', 'key', 'order', 'partitionkey'],
  ['kafka.eventing.knative.dev/delivery.order', 'ordered', 'order', 'partitionkey'],
  ['kafka.eventing.knative.dev/delivery.order', 'unordered', 'order', undefined],
  ['weir.dev/batch-max-wait', 'PT2S', 'batch', { maxEvents: undefined, maxWaitMs: 2000, maxBytes: undefined }],
]
for (const [name, text, knob, value] of read) {
  test(`${name}: ${text} is understood`, () => {
    const knobs = readKnobs(of({ [name]: text }))
    assert.deepEqual(knobs.mistakes, [])
    assert.deepEqual(Object.entries(knobs).find(([one]) => one === knob)?.[1], value)
  })
}

for (const [name, text] of [
  ['weir.dev/rate-per-second', '0'],
  ['weir.dev/rate-per-second', '1e3'],
  ['weir.dev/adaptive', 'yes'],
  ['weir.dev/circuit-wait', '30s'],
  ['weir.dev/start', '2026-13-01T00:00:00Z'],
  ['weir.dev/start', 'yesterday'],
  ['weir.dev/order-key', 'Partition-Key'],
  ['weir.dev/filter-data', ' '],
  ['weir.dev/batch-max-events', '0'],
] as const) {
  test(`${name}: ${text} is a mistake that names itself`, () => {
    const [mistake] = annotationMistakes('Trigger', { [name]: text })
    assert.ok(mistake?.message.includes(`\`${name}\` must be `), mistake?.message)
    assert.equal(mistake?.severity, 'mistake')
  })
}

test('the key that orders is named apart, and our word wins over the Kafka broker’s', () => {
  assert.equal(readKnobs(of({ 'weir.dev/order': 'key', 'weir.dev/order-key': 'subject' })).order, 'subject')
  const both = { 'weir.dev/order': 'none', 'kafka.eventing.knative.dev/delivery.order': 'ordered' }
  assert.equal(readKnobs(of(both)).order, undefined)
})

test('what a Namespace allows is read from its annotations', () => {
  const quota = readQuota(of({ 'weir.dev/quota-events-per-second': '100', 'weir.dev/quota-backlog': 'much' }))
  assert.equal(quota.eventsPerSecond, 100)
  assert.equal(quota.backlog, undefined)
  assert.match(quota.mistakes[0] ?? '', /quota-backlog/)
})

test('class disabled opts out', () => {
  const annotations = {
    'autoscaling.eventing.knative.dev/class': 'disabled',
    'autoscaling.eventing.knative.dev/max-scale': '3',
  }
  assert.deepEqual(readScaleAnnotations(of(annotations)), { kind: 'disabled' })
})

test('a least number above the most is told at the annotation', () => {
  const annotations = { 'autoscaling.knative.dev/minScale': '5', 'autoscaling.eventing.knative.dev/max-scale': '2' }
  assert.deepEqual(annotationMistakes('Trigger', annotations), [
    {
      name: 'autoscaling.knative.dev/minScale',
      message: 'the least number of replicas, 5, is above the most, 2',
      severity: 'mistake',
    },
  ])
})

test('an annotation of ours on a kind that cannot have it is a notice, an unknown one a mistake', () => {
  assert.deepEqual(
    annotationMistakes('Trigger', {
      'weir.dev/store': 'memory',
      'weir.dev/paussed': 'true',
      'autoscaling.eventing.knative.dev/max-scal': '1',
      'autoscaling.knative.dev/window': '60s',
      'example.com/any': '',
    }).map(one => `${one.severity}: ${one.message}`),
    [
      'notice: `weir.dev/store` does nothing on a Trigger: it belongs on a Broker',
      'mistake: unknown annotation `weir.dev/paussed`, did you mean `weir.dev/paused`?',
      'mistake: unknown annotation `autoscaling.eventing.knative.dev/max-scal`, did you mean `autoscaling.eventing.knative.dev/max-scale`?',
    ],
  )
})
