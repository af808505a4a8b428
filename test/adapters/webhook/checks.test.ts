import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkSignature, checkToken } from '../../../adapters/webhook/checks.ts'
import { saidBy } from '../../../adapters/webhook/request.ts'
import { parseTemplate, type Template } from '../../../crds/template.ts'
import type { Signature } from '../../../crds/webhook-source.ts'

function template(text: string): Template {
  const read = parseTemplate(text)
  assert.ok(read.kind === 'template')
  return read.template
}

const GITHUB: Signature = {
  header: 'x-hub-signature-256',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
  signed: template('{body}'),
  secret: { secretKeyRef: { name: 's', key: 'k' } },
  secretEncoding: 'text',
}
const NOW = 1_700_000_000_000

function check(signature: Signature, secret: string, headers: readonly string[], body: string, nowMs = NOW) {
  const checked = checkSignature(signature, secret, saidBy(headers, '', undefined), Buffer.from(body), nowMs)
  return checked.kind === 'known' ? 'known' : checked.reason
}

test('the example of GitHub is known, and no other body, secret or form of it', () => {
  // "Validating webhook deliveries", docs.github.com.
  const secret = "It's a Secret to Everybody"
  const hex = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'
  const header = ['X-Hub-Signature-256', `sha256=${hex}`]
  assert.equal(check(GITHUB, secret, header, 'Hello, World!'), 'known')
  assert.match(check(GITHUB, secret, header, 'Hello, World'), /not that of this body/)
  assert.match(check(GITHUB, 'another', header, 'Hello, World!'), /not that of this body/)
  assert.match(check(GITHUB, secret, ['X-Hub-Signature-256', hex], 'Hello, World!'), /missing/)
  assert.match(check(GITHUB, secret, ['X-Hub-Signature-256', `sha256=${hex.slice(2)}`], 'Hello, World!'), /not that of/)
  assert.match(check(GITHUB, secret, ['X-Hub-Signature-256', `sha256=${hex}00`], 'Hello, World!'), /not that of/)
  assert.match(check(GITHUB, secret, [], 'Hello, World!'), /header x-hub-signature-256 .* missing/)
})

test('Slack, Stripe and Standard Webhooks can be said', () => {
  const sign = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text)
  const slack: Signature = {
    ...GITHUB,
    header: 'x-slack-signature',
    prefix: 'v0=',
    signed: template('v0:{timestamp}:{body}'),
    timestamp: { header: 'x-slack-request-timestamp', prefix: '', toleranceMs: 300_000 },
  }
  const v0 = sign('k', 'v0:1700000000:a=b').digest('hex')
  assert.equal(
    check(slack, 'k', ['X-Slack-Signature', `v0=${v0}`, 'X-Slack-Request-Timestamp', '1700000000'], 'a=b'),
    'known',
  )

  const stripe: Signature = {
    ...GITHUB,
    header: 'stripe-signature',
    prefix: 'v1=',
    signed: template('{timestamp}.{body}'),
    timestamp: { header: 'stripe-signature', prefix: 't=', toleranceMs: 300_000 },
  }
  const v1 = sign('whsec_x', '1700000000.{}').digest('hex')
  assert.equal(check(stripe, 'whsec_x', ['Stripe-Signature', `t=1700000000,v1=00ff,v1=${v1},v0=aa`], '{}'), 'known')

  const standard: Signature = {
    ...GITHUB,
    header: 'webhook-signature',
    prefix: 'v1,',
    encoding: 'base64',
    secretEncoding: 'base64',
    signed: template('{header.webhook-id}.{timestamp}.{body}'),
    timestamp: { header: 'webhook-timestamp', prefix: '', toleranceMs: 300_000 },
  }
  // The example of standard-webhooks' own libraries.
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const headers = (time: string) => [
    ...['webhook-id', 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'webhook-timestamp', time],
    ...[
      'webhook-signature',
      'v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    ],
  ]
  const at = (ms: number, time = '1614265330') => check(standard, secret, headers(time), '{"test": 2432232314}', ms)
  assert.equal(at(1_614_265_330_000), 'known')
  assert.equal(at(1_614_265_330_000 + 300_000), 'known')
  assert.match(at(1_614_265_330_000 + 300_001), /more than 300 s ago/)
  assert.match(at(1_614_265_330_000 - 300_001), /more than 300 s ago/)
  assert.match(at(1_614_265_331_000, '1614265331'), /not that of this body/)
  assert.match(at(1_614_265_331_000, 'soon'), /no time in seconds/)
})

test('whatever stands in the headers, only the right signature is known', () => {
  const body = fc.uint8Array({ maxLength: 64 })
  const header = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('sha256=', 'a', '0', ',', ' ', '=') }))
  fc.assert(
    fc.property(body, header, fc.string({ minLength: 1 }), (bytes, text, secret) => {
      const said = saidBy(['x-hub-signature-256', text], '', undefined)
      assert.equal(checkSignature(GITHUB, secret, said, bytes, NOW).kind, 'unknown')
      const right = `sha256=${createHmac('sha256', secret).update(bytes).digest('hex')}`
      const both = saidBy(['x-hub-signature-256', right], '', undefined)
      assert.equal(checkSignature(GITHUB, secret, both, bytes, NOW).kind, 'known')
    }),
  )
})

test('a token stands in a header or in the query, and only the right one is known', () => {
  const secret = { secretKeyRef: { name: 's', key: 'k' } }
  const bearer = { from: 'header', name: 'authorization', prefix: 'Bearer ', secret } as const
  const code = { from: 'query', name: 'code', prefix: '', secret } as const
  const kind = (headers: string[], query: string) => [
    checkToken(bearer, 'top', saidBy(headers, query, undefined)).kind,
    checkToken(code, 'top', saidBy(headers, query, undefined)).kind,
  ]
  assert.deepEqual(kind(['Authorization', 'Bearer top'], 'code=top'), ['known', 'known'])
  assert.deepEqual(kind(['Authorization', 'top'], 'code=to'), ['unknown', 'unknown'])
  assert.deepEqual(kind([], ''), ['unknown', 'unknown'])
})
