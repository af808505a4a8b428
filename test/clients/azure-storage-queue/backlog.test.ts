import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readQueueLength } from '../../../clients/azure-storage-queue/backlog.ts'

const signal = new AbortController().signal

function queue(visible: number, all: number) {
  return { approximateCount: async () => all, peekCount: async (max: number) => Math.min(max, visible) }
}

const lengths: readonly [strategy: 'all' | 'visibleonly', visible: number, all: number, length: number][] = [
  ['all', 10, 100, 100],
  ['visibleonly', 10, 100, 10],
  ['visibleonly', 35, 100, 100],
  ['visibleonly', 31, 1_031, 31],
  ['visibleonly', 32, 1_032, 1_032],
  ['visibleonly', 0, 7, 0],
]
for (const [strategy, visible, all, length] of lengths) {
  test(`${strategy} with ${visible} visible of ${all} is ${length}, as in KEDA`, async () => {
    assert.equal(await readQueueLength(queue(visible, all), strategy, signal), length)
  })
}
