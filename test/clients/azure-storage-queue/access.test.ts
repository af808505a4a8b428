import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessOf, locateQueue } from '../../../clients/azure-storage-queue/account.ts'
import { sourceOf } from '../../adapters/azure-storage-queue/source.ts'

const queueUrl = 'https://acme.queue.core.windows.net/orders'

test('a connection string goes with the name of the queue, wherever that stands', () => {
  const credentials = { connectionString: 'UseDevelopmentStorage=true' }
  const expected = { ...credentials, queueName: 'orders' }
  assert.deepEqual(accessOf(sourceOf().spec, credentials), expected)
  const { queueName: _, ...unnamed } = sourceOf({ queueUrl }).spec
  assert.deepEqual(accessOf(unnamed, credentials), expected)
})

test('a key goes with the account, named or taken from the address', () => {
  const credentials = { accountKey: 'AAAA' }
  const named = sourceOf({ accountName: 'acme', endpointSuffix: 'core.chinacloudapi.cn' }).spec
  assert.deepEqual(accessOf(named, credentials), {
    ...{ queueUrl: 'https://acme.queue.core.chinacloudapi.cn/orders', accountName: 'acme' },
    ...credentials,
  })
  assert.deepEqual(accessOf(sourceOf({ queueUrl }).spec, credentials), {
    queueUrl,
    accountName: 'acme',
    ...credentials,
  })
  const emulated = 'http://127.0.0.1:10001/devstoreaccount1/orders'
  assert.deepEqual(accessOf(sourceOf({ queueUrl: emulated }).spec, credentials), {
    ...{ queueUrl: emulated, accountName: 'devstoreaccount1' },
    ...credentials,
  })
})

test('an address that is signed needs nothing else', () => {
  const signed = `${queueUrl}?sv=1&sig=x`
  assert.deepEqual(accessOf(sourceOf({ queueUrl: signed }).spec, {}), { queueUrl: signed })
})

test('a token is put behind the address, with its question mark and without', () => {
  const signed = { queueUrl: `${queueUrl}?sv=1&sig=x` }
  for (const sasToken of ['sv=1&sig=x', '?sv=1&sig=x\n']) {
    assert.deepEqual(accessOf(sourceOf({ queueUrl }).spec, { sasToken }), signed)
    assert.deepEqual(accessOf(sourceOf({ accountName: 'acme' }).spec, { sasToken }), signed)
  }
  assert.throws(() => accessOf(sourceOf({ queueUrl }).spec, { sasToken: 'secret' }), /no signature/)
})

test('an identity needs no secret, and its client where there are several', () => {
  const auth = { workloadIdentity: { clientId: 'c-1' } }
  const access = accessOf(sourceOf({ accountName: 'acme', auth }).spec, {})
  assert.deepEqual(access, { queueUrl, identity: { clientId: 'c-1' } })
  assert.deepEqual(locateQueue(access).credential, { kind: 'identity', clientId: 'c-1' })
})

test('what is missing is said', () => {
  const { queueName: _, ...unnamed } = sourceOf().spec
  assert.throws(() => accessOf(unnamed, { connectionString: 'x' }), /queueName/)
  assert.throws(() => accessOf(unnamed, { accountKey: 'x' }), /accountName/)
  assert.throws(() => accessOf({ ...unnamed, accountName: 'acme' }, { accountKey: 'x' }), /queueName/)
  assert.throws(() => accessOf(sourceOf().spec, {}), /names no connectionString/)
})
