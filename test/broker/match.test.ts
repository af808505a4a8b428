import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { buildMatch } from '../../broker/match.ts'
import { DEFAULT_DELIVERY } from '../../contract/delivery-policy.ts'
import { compileFilters, type Filter } from '../../contract/filter.ts'
import { brokerId, triggerId } from '../../contract/ids.ts'
import { type BrokerRoute, PLAIN_BROKER, PLAIN_TRIGGER, type TriggerRoute } from '../../contract/routes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { bare, encoded, filterLists, smallEvents } from '../support/arbitraries.ts'

const SHOP = brokerId('shop', 'default')

function trigger(name: string, filters: readonly Filter[]): TriggerRoute {
  return {
    id: triggerId('shop', name),
    uid: name,
    filters,
    subscriber: { kind: 'url', address: 'http://127.0.0.1' },
    deadLetter: undefined,
    delivery: DEFAULT_DELIVERY,
    concurrency: 1,
    reply: 'lenient',
    ...PLAIN_TRIGGER,
  }
}

function broker(triggers: readonly TriggerRoute[], id = SHOP): BrokerRoute {
  return { id, uid: id, store: 'durable', triggers, ...PLAIN_BROKER }
}

function eventOf(type: string, source: string): CloudEvent {
  const attributes = bare({ specversion: '1.0', id: '1', source, type })
  return { mode: 'binary', attributes, body: new Uint8Array() }
}

test('the index finds what asking every Trigger in turn finds, in the order of the routes', () => {
  fc.assert(
    fc.property(fc.array(filterLists, { maxLength: 12 }), fc.array(smallEvents), (lists, events) => {
      const triggers = lists.map((filters, i) => trigger(`t${i}`, filters))
      const match = buildMatch([broker(triggers)])
      for (const event of events) {
        const naive = triggers.filter(({ filters }) => compileFilters(filters)(event)).map(({ id }) => id)
        assert.deepEqual(match(SHOP, event), naive)
      }
    }),
    { numRuns: 1000 },
  )
})

test('Triggers that ask for another exact type or source cost an event nothing', () => {
  const readsPerMatch = (others: number) => {
    const strangers = Array.from({ length: others }, (_, i) => trigger(`t${i}`, [{ exact: { type: `type-${i}` } }]))
    const near = trigger('near', [{ exact: { type: 'wanted', source: '/other' } }])
    const match = buildMatch([broker([...strangers, trigger('wanted', [{ exact: { type: 'wanted' } }]), near])])
    let reads = 0
    const { attributes, ...rest } = eventOf('wanted', '/s')
    const counted = new Proxy(attributes, {
      get(target, name) {
        reads++
        return Reflect.get(target, name)
      },
    })
    assert.deepEqual(match(SHOP, { ...rest, attributes: counted }), [triggerId('shop', 'wanted')])
    return reads
  }
  assert.equal(readsPerMatch(1000), readsPerMatch(0))
})

test('each Broker has its own Triggers, and a Broker that is not routed has none', () => {
  const other = brokerId('shop', 'other')
  const match = buildMatch([broker([trigger('a', [])]), broker([trigger('b', [])], other)])
  assert.deepEqual(match(SHOP, eventOf('t', '/s')), [triggerId('shop', 'a')])
  assert.deepEqual(match(other, eventOf('t', '/s')), [triggerId('shop', 'b')])
  assert.deepEqual(match(brokerId('shop', 'gone'), eventOf('t', '/s')), [])
})

test('an event that lacks what every event has breaks nothing, and nobody gets it twice', () => {
  const match = buildMatch([broker([trigger('all', []), trigger('typed', [{ exact: { type: 't' } }])])])
  const event: CloudEvent = { mode: 'binary', attributes: bare({}), body: new Uint8Array() }
  assert.deepEqual(match(SHOP, event), [triggerId('shop', 'all')])
})

test('a Trigger whose condition has no answer is named with the reason, and the others are asked all the same', () => {
  const told: string[] = []
  const triggers = [trigger('some', [{ data: 'data.n > 1' }]), trigger('all', [])]
  const match = buildMatch([broker(triggers)], (id, words) => told.push(`${id}: ${words}`))
  const event = (data: string): CloudEvent => ({ ...eventOf('t', '/s'), body: encoded(data) })
  assert.deepEqual(match(SHOP, event('{}')), [triggerId('shop', 'all')])
  assert.equal(match(SHOP, event('{"n":2}')).length, 2)
  assert.deepEqual(told, ['shop/some: No such key: n'])
})
