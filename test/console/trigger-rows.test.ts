import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseTriggers, needsAttention, phaseOf, remarkOf, triggerColumns } from '../../console/trigger-rows.ts'
import type { TriggerView } from '../../contract/api.ts'
import { trigger } from './scenery.ts'

const byName = { column: 'name', descending: false } as const
const replicas = (ready: number, desired = ready, max = 8) => ({ ready, desired, max })

test('a phase says what a Trigger does, and the worst of it first', () => {
  const table: [Partial<TriggerView>, string, string][] = [
    [{}, 'Idle', 'calm'],
    [{ replicas: replicas(0) }, 'Asleep', 'calm'],
    [{ replicas: replicas(2) }, 'Idle', 'calm'],
    [{ backlog: 3, replicas: replicas(0, 1) }, 'Waking', 'busy'],
    [{ backlog: 3, replicas: replicas(0) }, 'Held', 'warn'],
    [{ backlog: 3, replicas: replicas(2) }, 'Working', 'busy'],
    [{ backlog: 3, replicas: replicas(8) }, 'At max', 'warn'],
    [{ backlog: 3 }, 'Working', 'busy'],
    [{ inFlight: 1 }, 'Working', 'busy'],
    [{ retrying: 1 }, 'Retrying', 'warn'],
    [{ retrying: 1, inFlight: 1 }, 'Working', 'busy'],
    [{ parked: 1 }, 'Parked', 'warn'],
    [{ parked: 1, inFlight: 1 }, 'Working', 'busy'],
    [{ ready: false, backlog: 3 }, 'Not ready', 'bad'],
  ]
  for (const [told, words, tone] of table)
    assert.deepEqual(phaseOf(trigger(told)), { words, tone }, JSON.stringify(told))
})

test('the remark is the reason, else the error that still matters, else what Weir noticed', () => {
  const words = { reason: 'NoService', lastError: '503', notice: 'odd answers' }
  const table: [Partial<TriggerView>, string][] = [
    [{ ready: false }, 'NoService'],
    [{ retrying: 1 }, '503'],
    [{ parked: 1 }, '503'],
    [{ parked: 1, lastError: null }, 'odd answers'],
    [{}, 'odd answers'],
    [{ notice: null }, ''],
  ]
  for (const [told, remark] of table) assert.equal(remarkOf(trigger({ ...words, ...told })), remark)
})

test('parked events and Triggers that are not ready need attention, work does not', () => {
  assert.equal(needsAttention(trigger({ parked: 1, inFlight: 1 })), true)
  assert.equal(needsAttention(trigger({ ready: false })), true)
  assert.equal(needsAttention(trigger({ backlog: 9, inFlight: 1 })), false)
})

test('names with numbers in them sort as a person counts', () => {
  const names = ['t-10', 't-9', 't-1'].map(name => trigger({ name }))
  assert.deepEqual(
    chooseTriggers(names, '', 'all', byName).map(({ name }) => name),
    ['t-1', 't-9', 't-10'],
  )
})

test('a search looks at names, Broker, address and reason, and every word must be there', () => {
  const orders = trigger({ namespace: 'shop', name: 'orders', subscriber: 'http://billing/', reason: 'NoService' })
  for (const text of ['', 'shop/ord', 'BILLING', 'noservice', 'orders shop']) {
    assert.equal(chooseTriggers([orders], text, 'all', byName).length, 1, text)
  }
  assert.equal(chooseTriggers([orders], 'orders worker', 'all', byName).length, 0)
})

test('every order is an order: rows ascend or descend, equal ones by name, and none is lost', () => {
  const rows = fc.uniqueArray(
    fc.record({ name: fc.constantFrom(...'abcdefghij'), backlog: fc.nat(3), parked: fc.nat(3), rate: fc.nat(3) }),
    { selector: ({ name }) => name },
  )
  fc.assert(
    fc.property(rows, fc.constantFrom(...triggerColumns), fc.boolean(), (told, column, descending) => {
      const before = told.map(trigger)
      const after = chooseTriggers(before, '', 'all', { column, descending })
      assert.equal(new Set(after).size, before.length)
      if (column === 'name' || column === 'replicas') return
      for (const [at, row] of after.entries()) {
        const next = after[at + 1]
        if (next === undefined) break
        const step = next[column] - row[column]
        assert.ok(descending ? step <= 0 : step >= 0)
        if (step === 0) assert.ok(row.name < next.name)
      }
    }),
  )
})

test('active are those in which something moves or waits', () => {
  const rows = [trigger({ name: 'a' }), trigger({ name: 'b', rate: 0.1 }), trigger({ name: 'c', retrying: 1 })]
  assert.deepEqual(
    chooseTriggers(rows, '', 'active', byName).map(({ name }) => name),
    ['b', 'c'],
  )
})
