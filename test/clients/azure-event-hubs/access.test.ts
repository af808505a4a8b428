import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  containerAccessOf,
  EventHubsAccessError,
  hubAccessOf,
  namespaceOf,
} from '../../../clients/azure-event-hubs/access.ts'

const KEYED = 'Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=c2VjcmV0'
const names = { eventHubName: 'orders', auth: {} }
const url = 'https://acme.blob.core.windows.net/done'
const hub = hubAccessOf(names, { connectionString: KEYED })

test('a connection string opens a hub, which it may name itself', () => {
  assert.deepEqual(hub, { connectionString: KEYED, hub: 'orders' })
  assert.equal(namespaceOf(hub), 'acme.servicebus.windows.net')
  const whole = `${KEYED};EntityPath=orders`
  assert.deepEqual(hubAccessOf({ auth: {} }, { connectionString: `${whole}\n` }), {
    connectionString: whole,
    hub: 'orders',
  })
})

test('a token is put into a connection string, and an identity needs only names', () => {
  const sasToken = 'SharedAccessSignature sr=sb%3a%2f%2facme&sig=x%3d&se=1&skn=n'
  const access = hubAccessOf({ ...names, namespace: 'acme' }, { sasToken })
  assert.deepEqual(access, {
    connectionString: `Endpoint=sb://acme.servicebus.windows.net/;SharedAccessSignature=${sasToken}`,
    hub: 'orders',
  })
  const auth = { workloadIdentity: { clientId: 'c-1' } }
  const namespace = 'acme.servicebus.chinacloudapi.cn'
  assert.deepEqual(hubAccessOf({ ...names, namespace, auth }, {}), { namespace, hub: 'orders', clientId: 'c-1' })
})

test('a container is opened by what is written for it, and by the identity of the hub where nothing is', () => {
  const container = (credentials: Record<string, string>, of = hub) =>
    containerAccessOf({ blobContainerUrl: url, containerName: 'done' }, of, credentials)
  assert.deepEqual(container({ checkpointConnectionString: 'UseDevelopmentStorage=true' }), {
    connectionString: 'UseDevelopmentStorage=true',
    container: 'done',
  })
  assert.deepEqual(container({ checkpointAccountKey: 'c2VjcmV0' }), { url, account: 'acme', accountKey: 'c2VjcmV0' })
  assert.deepEqual(container({ checkpointSasToken: '?sv=1&sig=x' }), { url: `${url}?sv=1&sig=x` })
  const identity = { namespace: 'acme', hub: 'orders', clientId: undefined }
  assert.deepEqual(container({}, identity), { url, clientId: undefined, identity: true })
  const emulated = { blobContainerUrl: 'http://127.0.0.1:10000/devstoreaccount1/done' }
  const byKey = containerAccessOf(emulated, hub, { checkpointAccountKey: 'c2VjcmV0' })
  assert.equal('account' in byKey && byKey.account, 'devstoreaccount1')
})

const wrong: readonly [() => unknown, RegExp][] = [
  [() => hubAccessOf({ auth: {} }, { connectionString: KEYED }), /eventHubName is not set/],
  [() => hubAccessOf(names, { connectionString: 'AccountName=acme' }), /no Endpoint/],
  [() => hubAccessOf(names, { connectionString: 'Endpoint=sb://acme' }), /neither SharedAccessKeyName/],
  [() => hubAccessOf(names, { connectionString: `${KEYED};EntityPath=other` }), /another hub/],
  [() => hubAccessOf(names, {}), /namespace is not set/],
  [() => hubAccessOf({ ...names, namespace: 'acme' }, { sasToken: 'c2VjcmV0' }), /is no token/],
  [() => containerAccessOf({ blobContainerUrl: url }, hub, {}), /names no connectionString/],
  [() => containerAccessOf({}, hub, {}), /blobContainerUrl is not set/],
  [() => containerAccessOf({ blobContainerUrl: url }, hub, { checkpointAccountKey: 'c2VjcmV0=' }), /not base64/],
  [() => containerAccessOf({ blobContainerUrl: url }, hub, { checkpointSasToken: 'c2VjcmV0' }), /no signature/],
]
for (const [make, words] of wrong) {
  test(`credentials that cannot be right are refused: ${words.source}`, () => {
    assert.throws(make, (error: unknown) => {
      assert.ok(error instanceof EventHubsAccessError)
      assert.match(error.message, words)
      assert.doesNotMatch(error.message, /c2VjcmV0/)
      return true
    })
  })
}

test('whatever is written, the answer is an access or an EventHubsAccessError', () => {
  const texts = fc.option(fc.oneof(fc.string(), fc.constant(KEYED)), { nil: undefined })
  fc.assert(
    fc.property(texts, texts, texts, (connectionString, sasToken, namespace) => {
      const credentials = Object.fromEntries(
        Object.entries({ connectionString, sasToken }).flatMap(([name, one]) =>
          one === undefined ? [] : [[name, one]],
        ),
      )
      try {
        namespaceOf(hubAccessOf({ ...names, ...(namespace !== undefined && { namespace }) }, credentials))
      } catch (error) {
        assert.ok(error instanceof EventHubsAccessError)
      }
    }),
  )
})
