import assert from 'node:assert/strict'
import { test } from 'node:test'
import { busAccessOf, isEmulator, urlOf } from '../../../clients/azure-service-bus/access.ts'
import { troubleOf } from '../../../clients/azure-service-bus/outcome.ts'

const KEY = 'SharedAccessKeyName=n;SharedAccessKey=a2V5PQ=='
const connectionString = `Endpoint=sb://acme.servicebus.windows.net/;${KEY}`

test('a connection string opens a queue, a subscription, or the entity that it names', () => {
  assert.deepEqual(busAccessOf({ auth: {}, queueName: 'orders' }, { connectionString }), {
    connectionString,
    entity: 'orders',
  })
  const subscription = busAccessOf({ auth: {}, topicName: 'news', subscriptionName: 'a' }, { connectionString })
  assert.equal(subscription.entity, 'news/Subscriptions/a')
  assert.equal(urlOf(subscription), 'sb://acme.servicebus.windows.net/news/subscriptions/a')
  const named = busAccessOf({ auth: {} }, { connectionString: `${connectionString};EntityPath=orders` })
  assert.deepEqual(named, { connectionString, entity: 'orders' })
})

test('a namespace is opened with a token or by identity', () => {
  const names = { namespace: 'acme', queueName: 'q' }
  const sasToken = 'SharedAccessSignature sr=x&sig=y&se=1&skn=n'
  assert.deepEqual(busAccessOf({ ...names, auth: {} }, { sasToken }), {
    connectionString: `Endpoint=sb://acme.servicebus.windows.net/;SharedAccessSignature=${sasToken}`,
    entity: 'q',
  })
  const identity = busAccessOf({ ...names, auth: { workloadIdentity: { clientId: 'c' } } }, {})
  assert.deepEqual(identity, { namespace: 'acme.servicebus.windows.net', clientId: 'c', entity: 'q' })
})

test('an emulator is known', () => {
  const emulator = busAccessOf(
    { auth: {}, queueName: 'q' },
    { connectionString: `${connectionString};UseDevelopmentEmulator=true` },
  )
  assert.ok(isEmulator(emulator) && !isEmulator(busAccessOf({ auth: {}, queueName: 'q' }, { connectionString })))
})

for (const [text, why] of [
  ['Endpoint=https://x/;SharedAccessKeyName=n;SharedAccessKey=secret', /no Endpoint=sb/],
  ['Endpoint=sb://x/;SharedAccessKeyName=n', /neither SharedAccessKeyName/],
  [`${connectionString};EntityPath=secret`, /another entity/],
] as const) {
  test(`credentials that cannot be right are told without being shown: ${why.source}`, () => {
    assert.throws(
      () => busAccessOf({ auth: {}, queueName: 'q' }, { connectionString: text }),
      (error: Error) => {
        assert.match(error.message, why)
        assert.ok(!error.message.includes('secret'))
        return true
      },
    )
  })
}

test('what the client says is put into words that show no credentials', () => {
  const at = 'sb://acme/q'
  const of = (code: string, message = '') => troubleOf(Object.assign(new Error(message), { code }), at)
  assert.deepEqual(of('MessageLockLost'), { kind: 'lost' })
  assert.deepEqual(of('GeneralError', 'this message has already been settled'), { kind: 'lost' })
  assert.equal(JSON.stringify(of('MessagingEntityNotFound')).includes('as soon as somebody makes it'), true)
  const found = of('GeneralError', 'ECONNREFUSED SharedAccessKey=secret\nstack')
  assert.ok(found.kind === 'trouble' && found.what === 'unreachable')
  assert.match(found.reason, /ECONNREFUSED/)
  assert.ok(!/secret|stack/.test(found.reason))
})
