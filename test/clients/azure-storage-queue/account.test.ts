import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  locateQueue,
  type QueueAccess,
  StorageAccessError,
  siblingOf,
} from '../../../clients/azure-storage-queue/account.ts'

const KEY = 'c2VjcmV0LXNlY3JldC1zZWNyZXQ='
const queueName = 'orders'

test('a connection string from the portal leads to the public cloud', () => {
  const connectionString = `DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=${KEY};EndpointSuffix=core.windows.net`
  assert.deepEqual(locateQueue({ connectionString, queueName }), {
    url: 'https://acme.queue.core.windows.net/orders',
    name: 'orders',
    credential: { kind: 'key', account: 'acme', key: KEY },
  })
})

test('a queue endpoint in a connection string wins over the name of the account', () => {
  const connectionString = `AccountName=acme;AccountKey=${KEY};QueueEndpoint=http://127.0.0.1:4000/acme/;`
  assert.equal(locateQueue({ connectionString, queueName }).url, 'http://127.0.0.1:4000/acme/orders')
})

test('development storage is the emulator on its usual port, or where its proxy says', () => {
  const { url, credential } = locateQueue({ connectionString: 'UseDevelopmentStorage=true', queueName })
  assert.equal(url, 'http://127.0.0.1:10001/devstoreaccount1/orders')
  assert.equal(credential.kind === 'key' && credential.account, 'devstoreaccount1')
  const elsewhere = 'UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite'
  assert.equal(
    locateQueue({ connectionString: elsewhere, queueName }).url,
    'http://azurite:10001/devstoreaccount1/orders',
  )
})

test('a signature stays out of the address that is shown', () => {
  const sas = 'sv=2024-11-04&ss=q&sig=c2ln%3D'
  const connectionString = `QueueEndpoint=https://acme.queue.core.windows.net/;SharedAccessSignature=${sas}`
  const signed = { url: 'https://acme.queue.core.windows.net/orders', name: 'orders' }
  const credential = { kind: 'signature', query: sas }
  assert.deepEqual(locateQueue({ connectionString, queueName }), { ...signed, credential })
  assert.deepEqual(locateQueue({ queueUrl: `${signed.url}?${sas}` }), { ...signed, credential })
})

test('an address with a key names its queue by its last part', () => {
  const place = locateQueue({ queueUrl: 'http://127.0.0.1:10001/acme/orders/', accountName: 'acme', accountKey: KEY })
  assert.equal(place.url, 'http://127.0.0.1:10001/acme/orders')
  assert.equal(place.name, 'orders')
  assert.equal(siblingOf(place, 'orders-poison').url, 'http://127.0.0.1:10001/acme/orders-poison')
})

test('credentials that cannot be right are refused with words that do not repeat them', () => {
  const wrong: [QueueAccess, RegExp][] = [
    [{ connectionString: '', queueName }, /AccountName/],
    [{ connectionString: 'AccountName=acme', queueName }, /AccountKey/],
    [{ connectionString: `AccountName=acme;AccountKey=${KEY.slice(0, -3)}`, queueName }, /not base64/],
    [{ connectionString: `QueueEndpoint=ftp://x;AccountName=acme;AccountKey=${KEY}`, queueName }, /QueueEndpoint/],
    [{ queueUrl: 'https://acme.queue.core.windows.net/orders' }, /signature/],
    [{ queueUrl: 'https://acme.queue.core.windows.net/?sig=x' }, /names no queue/],
    [{ queueUrl: 'orders', accountName: 'acme', accountKey: KEY }, /http/],
  ]
  for (const [access, words] of wrong) {
    assert.throws(
      () => locateQueue(access),
      (error: unknown) => {
        assert.ok(error instanceof StorageAccessError)
        assert.match(error.message, words)
        assert.ok(!error.message.includes(KEY.slice(0, 8)))
        return true
      },
    )
  }
})

test('whatever the connection string, the answer is a place or a StorageAccessError', () => {
  const part = fc.constantFrom('AccountName', 'AccountKey', 'QueueEndpoint', 'UseDevelopmentStorage', 'EndpointSuffix')
  const value = fc.oneof(fc.string(), fc.constantFrom('true', KEY, 'acme', 'http://127.0.0.1:1/x', 'core.windows.net'))
  const parts = fc.array(fc.tuple(part, value).map(([name, text]) => `${name}=${text}`))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        parts.map(all => all.join(';')),
      ),
      connectionString => {
        try {
          const { url, name } = locateQueue({ connectionString, queueName })
          assert.ok(URL.canParse(url) && name === queueName)
        } catch (error) {
          assert.ok(error instanceof StorageAccessError, String(error))
        }
      },
    ),
  )
})
