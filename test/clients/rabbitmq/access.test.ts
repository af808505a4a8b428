import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RabbitAccessError, rabbitAccessOf, shownUrl } from '../../../clients/rabbitmq/access.ts'

const user = { username: 'me', password: 'p' }

test('a Secret of a connection says where the server is, in any of the ways people write it', () => {
  const table: [Record<string, string>, string | undefined, string, string][] = [
    [{ uri: 'rabbit.ns.svc' }, undefined, 'amqp://rabbit.ns.svc:5672/', 'http://rabbit.ns.svc:15672'],
    [{ uri: 'rabbit', port: '5673' }, undefined, 'amqp://rabbit:5673/', 'http://rabbit:15673'],
    [{ uri: 'rabbit:5674' }, undefined, 'amqp://rabbit:5674/', 'http://rabbit:15674'],
    [{ uri: 'amqps://rabbit' }, undefined, 'amqps://rabbit:5671/', 'https://rabbit:15671'],
    [{ uri: 'amqp://rabbit/shop' }, undefined, 'amqp://rabbit:5672/shop', 'http://rabbit:15672'],
    [{ uri: 'amqp://rabbit/shop' }, '/other', 'amqp://rabbit:5672/%2Fother', 'http://rabbit:15672'],
    [{ uri: 'http://rabbit:8080' }, undefined, 'amqp://rabbit:5672/', 'http://rabbit:8080'],
    [{ uri: 'https://rabbit', port: '5999' }, undefined, 'amqps://rabbit:5999/', 'https://rabbit:15671'],
    [{ uri: 'amqp://[::1]' }, undefined, 'amqp://[::1]:5672/', 'http://[::1]:15672'],
    [{ host: 'hare.ns.svc', port: '5672' }, 'v', 'amqp://hare.ns.svc:5672/v', 'http://hare.ns.svc:15672'],
    [{ uri: 'rabbit', managementUri: 'https://m/x/' }, undefined, 'amqp://rabbit:5672/', 'https://m/x'],
  ]
  for (const [credentials, vhost, url, management] of table) {
    const access = rabbitAccessOf({ ...user, ...credentials }, vhost)
    assert.deepEqual([shownUrl(access), access.management], [url, management], JSON.stringify(credentials))
  }
})

test('user and password stand in the address or beside it, and those beside it win', () => {
  const inside = rabbitAccessOf({ uri: 'amqp://m%C3%BC:p%40@rabbit' }, undefined)
  assert.deepEqual([inside.username, inside.password], ['mü', 'p@'])
  const beside = rabbitAccessOf({ uri: 'amqp://a:b@rabbit', ...user }, undefined)
  assert.deepEqual([beside.username, beside.password], ['me', 'p'])
})

test('what is missing or broken is said, and no credentials with it', () => {
  for (const [credentials, words] of [
    [{}, /neither `uri` nor `host` is set/],
    [{ uri: 'rabbit', username: 'hunter2' }, /no password/],
    [{ uri: 'rabbit', password: 'hunter2' }, /no user/],
    [{ uri: 'redis://hunter2:hunter2@rabbit' }, /must begin with amqp/],
    [{ uri: 'amqp://hunter2:hunter2%@rabbit' }, /written as %25/],
    [{ uri: 'amqp://', ...user }, /no host/],
    [{ uri: 'rabbit', port: 'hunter2', ...user }, /`port` is no number/],
    [{ uri: 'rabbit', managementUri: 'hunter2', ...user }, /`managementUri`/],
    [{ uri: 'amqps://rabbit', 'ca.crt': 'hunter2', ...user }, /`ca\.crt` holds no certificate/],
  ] as const) {
    assert.throws(
      () => rabbitAccessOf(credentials, undefined),
      (error: unknown) =>
        error instanceof RabbitAccessError && words.test(error.message) && !error.message.includes('hunter2'),
    )
  }
})

test('no text at all makes anything but an access or an error in words', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.option(fc.string()), (uri, port) => {
      try {
        const { host } = rabbitAccessOf({ uri, ...user, ...(port !== null && { port }) }, undefined)
        assert.notEqual(host, '')
      } catch (error) {
        assert.ok(error instanceof RabbitAccessError)
      }
    }),
  )
})
