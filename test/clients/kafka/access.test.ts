import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kafkaAccessOf, kafkaAccessOfSecret } from '../../../clients/kafka/access.ts'

const BROKERS = ['kafka:9092']
const PEM = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----'
const LOGIN = { user: 'me', password: 'hunter2' }

test('what is switched off counts for nothing', () => {
  const access = kafkaAccessOf(BROKERS, { tls: false, sasl: false }, { ...LOGIN, ca: PEM })
  assert.deepEqual(access, { brokers: BROKERS, tls: undefined, sasl: undefined })
})

test('the mechanism is PLAIN unless the Secret names another one', () => {
  const mechanismOf = (mechanism?: string) =>
    kafkaAccessOf(BROKERS, { tls: false, sasl: true }, { ...LOGIN, ...(mechanism && { mechanism }) }).sasl?.mechanism
  assert.equal(mechanismOf(), 'plain')
  assert.equal(mechanismOf(' scram-sha-256\n'), 'scram-sha-256')
  assert.equal(mechanismOf('SCRAM-SHA-512'), 'scram-sha-512')
  for (const other of ['OAUTHBEARER', 'GSSAPI', 'constructor', 'hunter2'])
    assert.throws(() => mechanismOf(other), {
      code: 'kafka-access',
      message: /use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512$/,
    })
})

test('the protocol of a Secret says what is needed of it', () => {
  assert.deepEqual(kafkaAccessOfSecret(BROKERS, {}), { brokers: BROKERS, tls: undefined, sasl: undefined })
  assert.deepEqual(kafkaAccessOfSecret(BROKERS, { protocol: 'sasl_ssl', ...LOGIN, ca: PEM }), {
    brokers: BROKERS,
    tls: { ca: PEM },
    sasl: { mechanism: 'plain', username: 'me', password: 'hunter2' },
  })
  assert.equal(kafkaAccessOfSecret(BROKERS, { protocol: 'SSL', ...LOGIN }).sasl, undefined)
})

test('what cannot be right is said without its value', () => {
  for (const credentials of [
    { protocol: 'hunter2' },
    { protocol: 'SASL_SSL', password: 'hunter2' },
    { protocol: 'SASL_PLAINTEXT', user: 'hunter2' },
    { protocol: 'SSL', ca: 'hunter2' },
    { protocol: 'SSL', cert: `${PEM}hunter2` },
  ])
    assert.throws(
      () => kafkaAccessOfSecret(BROKERS, credentials),
      (error: Error) => error.name === 'KafkaAccessError' && !error.message.includes('hunter2'),
    )
})
