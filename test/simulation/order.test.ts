import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstBroken, playAll } from './seeds.ts'
import { simulateOrder } from './simulate.ts'
import { loadWithStore, type Patch } from './subject.ts'

const SEEDS = 400
/** A mistake that is not seen in so many histories is not watched for. */
const SEEDS_FOR_A_MISTAKE = 200

test(`in ${SEEDS} histories of crashes and failing subscribers the durable store keeps the order of keys`, async () => {
  const subject = await loadWithStore([])
  await playAll(SEEDS, seed => simulateOrder(subject, seed))
})

const inQueue = (from: string, to: string): Patch => ({ file: 'broker/stores/sqlite/queue.ts', from, to })
const inGate = (from: string, to: string): Patch => ({ file: 'broker/stores/key-gate.ts', from, to })
const inLoader = (from: string, to: string): Patch => ({ file: 'broker/stores/sqlite/loader.ts', from, to })
const inStore = (from: string, to: string): Patch => ({ file: 'broker/stores/sqlite.ts', from, to })

/** Classic mistakes, planted in the shipped files, and the promise that each of them breaks. */
const mistakes: readonly { readonly name: string; readonly patch: Patch; readonly breaks: RegExp }[] = [
  {
    name: 'freeing a key when its event is postponed',
    patch: inLoader('queue.postpone(item, dueMs)', 'queue.postpone(item, dueMs); queue.leave(item)'),
    breaks: /^(order|one at a time):/,
  },
  {
    name: 'freeing a key when its event is given back',
    patch: inStore("case 'returned':\n", "case 'returned':\n        this.#loader.leave(queue, item)\n"),
    breaks: /^(order|one at a time):/,
  },
  {
    name: 'freeing a key when its event is leased, not when that is settled',
    patch: inStore('this.#loader.refill(queue)', 'for (const one of leases) queue.leave(one as Item)'),
    breaks: /^(order|one at a time):/,
  },
  {
    name: 'freeing a key before the reply is stored and the event is settled',
    patch: {
      file: 'broker/delivery.ts',
      from: 'const result = await takeReply(job, reply, attempt, this.#deps.log)',
      to: 'const result = attempt; void takeReply(job, reply, attempt, this.#deps.log)',
    },
    breaks: /^replies:/,
  },
  {
    name: 'forgetting after a start which keys wait for their retry',
    patch: inQueue('if (isFirst) for (const key of this.#busyAtFirst)', 'if (isFirst) for (const key of [])'),
    breaks: /^(order|one at a time):/,
  },
  {
    name: 'not writing down the key of what waits for its retry',
    patch: inLoader('RETRYING, dueMs, queue.keyOf(item)', 'RETRYING, dueMs, undefined'),
    breaks: /^(order|one at a time|liveness|held up):/,
  },
  {
    name: 'forgetting after a start what is behind a key on disk',
    patch: {
      file: 'broker/stores/sqlite/tables.ts',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a template
      from: 'db.exec(`UPDATE delivery SET state = ${WAITING} WHERE state = ${BLOCKED}`)',
      to: '',
    },
    breaks: /^(order|lost|held up):/,
  },
  {
    name: 'letting in memory what is younger than what is behind its key on disk',
    patch: inGate('return this.#state(key).onDisk === 0', 'return true'),
    breaks: /^order:/,
  },
  {
    name: 'taking what went behind a key on disk for part of an older answer',
    patch: inGate('const asked = state.onDisk - state.fresh', 'const asked = state.onDisk'),
    breaks: /^(order|lost|held up):/,
  },
  {
    name: 'keeping the key of an event that is parked',
    patch: inStore(
      "this.#loader.release(item.held)\n        this.#loader.leave(queue, item)\n        break\n      }\n      case 'postponed'",
      "this.#loader.release(item.held)\n        break\n      }\n      case 'postponed'",
    ),
    breaks: /^(held up|liveness):/,
  },
  {
    name: 'one key for all',
    patch: inGate(
      'item.event.attributes[this.attribute] || undefined',
      "item.event.attributes[this.attribute] && 'all'",
    ),
    breaks: /^held up:/,
  },
]

for (const { name, patch, breaks } of mistakes) {
  test(`the simulation sees the mistake of ${name}`, async context => {
    const subject = await loadWithStore([patch])
    const seen = await firstBroken(SEEDS_FOR_A_MISTAKE, seed => simulateOrder(subject, seed))
    if (seen !== undefined) context.diagnostic(`seed ${seen.seed}: ${seen.words}`)
    assert.match(seen?.words ?? 'nothing', breaks)
  })
}
