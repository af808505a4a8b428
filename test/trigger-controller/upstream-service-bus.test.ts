import assert from 'node:assert/strict'
import { test } from 'node:test'
import { upstreamOfSource } from '../../trigger-controller/upstream.ts'
import { sourceOf } from '../adapters/azure-service-bus/source.ts'

const BUS = 'Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k'

test('a source of Service Bus is scaled by its active messages', () => {
  const found = upstreamOfSource(sourceOf(), () => BUS)
  assert.deepEqual(found, {
    kind: 'known',
    credentials: { connectionString: BUS },
    backlog: { system: 'azure-service-bus', access: { connectionString: BUS, entity: 'orders' } },
    concurrency: 16,
  })
})

test('with sessions one replica works on as many messages as it holds sessions', () => {
  const found = upstreamOfSource(sourceOf({ sessions: { enabled: true, maxConcurrent: 3 } }), () => BUS)
  assert.ok(found.kind === 'known' && found.concurrency === 3)
})

test('credentials that are missing or cannot be right are a reason', () => {
  const missing = upstreamOfSource(sourceOf(), () => undefined)
  assert.deepEqual(missing, { kind: 'missing', reason: 'Secret default/bus has no key "connectionString"' })
  const wrong = upstreamOfSource(sourceOf(), () => 'Endpoint=https://secret')
  assert.ok(wrong.kind === 'missing' && /no Endpoint=sb/.test(wrong.reason) && !wrong.reason.includes('secret'))
})
