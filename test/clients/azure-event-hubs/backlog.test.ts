import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readLag } from '../../../clients/azure-event-hubs/backlog.ts'
import type { Checkpoint } from '../../../clients/azure-event-hubs/checkpoints.ts'
import { trouble } from '../../../clients/trouble.ts'

const signal = new AbortController().signal

/** Partitions that hold so many events each, none of them expired. */
function hubOf(...counts: readonly number[]) {
  return {
    partitions: async () => ({ kind: 'partitions' as const, ids: counts.map((_, i) => String(i)), createdMs: 1 }),
    facts: async (partition: string) => {
      const last = (counts[Number(partition)] ?? 0) - 1
      return { kind: 'facts' as const, first: 0, last, lastOffset: `${last}`, lastEnqueuedMs: 0, empty: last < 0 }
    },
  }
}

function storeOf(sequences: Readonly<Record<string, number>>) {
  const checkpoints = new Map(
    Object.entries(sequences).map(([id, sequence]): [string, Checkpoint] => [id, { sequence, offset: '', etag: '' }]),
  )
  return { read: async () => ({ kind: 'kept' as const, checkpoints, ownerships: new Map(), members: new Map() }) }
}

test('the lag is the sum over all partitions, and never more than so many for each where that is asked', async () => {
  const hub = hubOf(100, 0, 50)
  const store = storeOf({ 0: 89, 1: -1 })
  assert.equal(await readLag(hub, store, undefined, signal), 60)
  assert.equal(await readLag(hub, store, 10, signal), 30)
})

test('a checkpoint of a hub that is gone counts for nothing in the one of the same name', async () => {
  const old = new Map([['0', { sequence: 6, offset: '', etag: '', createdMs: 2 }]])
  const store = {
    read: async () => ({ kind: 'kept' as const, checkpoints: old, ownerships: new Map(), members: new Map() }),
  }
  assert.equal(await readLag(hubOf(7), store, undefined, signal), 7)
})

test('without a container everything waits', async () => {
  const store = { read: async () => trouble('missing', 'there is no container') }
  assert.equal(await readLag(hubOf(7), store, undefined, signal), 7)
})

test('what cannot be read is unknown and not zero', async () => {
  const broken = { read: async () => trouble('denied', 'the key is wrong') }
  await assert.rejects(readLag(hubOf(7), broken, undefined, signal), { message: 'the key is wrong', code: 'denied' })
  const gone = { ...hubOf(7), facts: async () => trouble('unreachable', 'nobody answers') }
  await assert.rejects(readLag(gone, storeOf({}), undefined, signal), { message: 'nobody answers' })
  const missing = { ...hubOf(7), partitions: async () => trouble('missing', 'there is no hub') }
  await assert.rejects(readLag(missing, storeOf({}), undefined, signal), { code: 'missing' })
})
