import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Targets } from '../../broker/targets.ts'
import { ManualClock } from '../support/manual-clock.ts'

function openTargets() {
  const clock = new ManualClock()
  const log: string[] = []
  const targets = new Targets(clock, (origin, caCerts) => {
    log.push(`open ${origin}${caCerts === undefined ? '' : ` trusting ${caCerts}`}`)
    return {
      origin,
      async close() {
        log.push(`close ${origin}`)
      },
      async destroy() {
        log.push(`destroy ${origin}`)
      },
    }
  })
  const find = (url: string, caCerts?: string) => {
    const target = targets.find(url, caCerts, clock.monotonicMs())
    assert(typeof target !== 'string', `${target}`)
    return target
  }
  return { clock, targets, log, find }
}

test('URLs of one origin share its connections', () => {
  const { log, find } = openTargets()
  const one = find('http://127.0.0.1:1/a?b=c#d')
  const two = find('http://127.0.0.1:1/')
  assert.equal(one.path, '/a?b=c')
  assert.equal(one.origin, two.origin)
  assert.deepEqual(log, ['open http://127.0.0.1:1'])
})

test('connections that nobody uses are closed, those that are used or open are not', async () => {
  const { clock, log, find } = openTargets()
  const busy = find('http://127.0.0.1:1/')
  busy.origin.open++
  find('http://127.0.0.1:2/')
  await clock.advance(45_000)
  find('http://127.0.0.1:3/')
  await clock.advance(30_000)
  assert.deepEqual(log.slice(3), ['close http://127.0.0.1:2'])
  busy.origin.open--
  await clock.advance(60_000)
  assert.deepEqual(log.slice(4).sort(), ['close http://127.0.0.1:1', 'close http://127.0.0.1:3'])
  assert.equal(clock.pending, 0)
})

test('connections to a name are made anew after a minute, so that DNS is heard', async () => {
  const { clock, log, find } = openTargets()
  const first = find('http://worker.shop/')
  first.origin.open++
  for (let i = 0; i < 5; i++) {
    await clock.advance(15_000)
    find('http://worker.shop/')
  }
  assert.deepEqual(log, ['open http://worker.shop', 'close http://worker.shop', 'open http://worker.shop'])
  assert.notEqual(find('http://worker.shop/').origin, first.origin)
})

test('closing ends what is open and leaves no timer', async () => {
  const { clock, targets, log, find } = openTargets()
  find('http://[::1]:1/')
  await targets.close()
  assert.deepEqual(log, ['open http://[::1]:1', 'destroy http://[::1]:1'])
  assert.equal(clock.pending, 0)
})

test('connections are shared only by those who trust the same authorities', async () => {
  const { clock, log, find } = openTargets()
  const origins = [
    find('https://a/x', 'one'),
    find('https://a/y', 'one'),
    find('https://a/x', 'two'),
    find('https://a/x'),
  ]
  assert.equal(new Set(origins.map(target => target.origin)).size, 3)
  assert.deepEqual(log, ['open https://a trusting one', 'open https://a trusting two', 'open https://a'])
  await clock.advance(75_000)
  assert.deepEqual(log.slice(3), new Array(3).fill('close https://a'))
  assert.equal(clock.pending, 0)
})

test('secure connections to an address are made anew too, so that other certificates are heard', async () => {
  const { clock, log, find } = openTargets()
  const origin = (url: string) => find(url).origin
  const [secure, plain] = [origin('https://127.0.0.1:1/'), origin('http://127.0.0.1:1/')]
  for (let i = 0; i < 5; i++) {
    await clock.advance(15_000)
    find('https://127.0.0.1:1/')
    find('http://127.0.0.1:1/')
  }
  assert.notEqual(origin('https://127.0.0.1:1/'), secure)
  assert.equal(origin('http://127.0.0.1:1/'), plain)
  assert.deepEqual(log.slice(2), ['close https://127.0.0.1:1', 'open https://127.0.0.1:1'])
})

test('an address that cannot be posted to says why, and shows no password', () => {
  const { targets, log } = openTargets()
  const rows: [string, RegExp][] = [
    ['gopher://x/', /no http or https URL/],
    ['file:///etc/passwd', /no http or https URL/],
    ['data:text/plain,x', /no http or https URL/],
    ['unix:/run/x.sock', /no http or https URL/],
    ['http://anna:secret@x y/', /no http or https URL/],
    ['http://anna:secret@127.0.0.1/', /user name or a password/],
    ['http://anna@127.0.0.1/', /user name or a password/],
    ['http://x\r\ny/', /control characters/],
    ['http://x\ty/', /control characters/],
    ['http://localhost:0/', /port 0/],
  ]
  for (const [url, words] of rows) {
    const why = targets.find(url, undefined, 0)
    assert(typeof why === 'string', url)
    assert.match(why, words)
    assert.doesNotMatch(why, /secret/)
  }
  assert.deepEqual(log, [])
})
