import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstBroken, playAll } from './seeds.ts'
import { simulate } from './simulate.ts'
import { loadPatched, loadShipped, type Patch } from './subject.ts'

const SEEDS = 3000
/** A mistake that is not seen in so many histories is not watched for. */
const SEEDS_FOR_A_MISTAKE = 300

test(`in ${SEEDS} histories of crashes, full disks and failing subscribers no accepted event is lost`, async () => {
  const subject = await loadShipped()
  await playAll(SEEDS, seed => simulate(subject, seed))
})

/** Classic mistakes, planted in the shipped files, and the promise that each of them breaks. */
const mistakes: readonly { readonly name: string; readonly patches: readonly Patch[]; readonly breaks: RegExp }[] = [
  {
    name: 'acknowledging before the commit',
    patches: [
      {
        file: 'broker/accept.ts',
        from: 'intake.store.append(intake.broker, bare, left - 1).then(stored, refused)',
        to: 'intake.store.append(intake.broker, bare, left - 1).catch(() => {}); stored({ seq: 0, matched: [] })',
      },
    ],
    breaks: /^(durability|replies|lost):/,
  },
  {
    name: 'losing the number of attempts',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: "return { kind: 'postponed', dueMs, attempt: next.attempt }",
        to: "return { kind: 'postponed', dueMs, attempt: 0 }",
      },
    ],
    breaks: /^(attempts|backoff):/,
  },
  {
    name: 'losing the time of the next attempt',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: "return { kind: 'postponed', dueMs, attempt: next.attempt }",
        to: "return { kind: 'postponed', dueMs: 0, attempt: next.attempt }",
      },
    ],
    breaks: /^backoff:/,
  },
  {
    name: 'settling twice',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: 'tellOutcome(job, attempt, settlement, this.#deps.log)',
        to: 'tellOutcome(job, attempt, settlement, this.#deps.log); spec.store.settle(lease, settlement)',
      },
    ],
    breaks: /settled twice/,
  },
  {
    name: 'settling before the reply is stored',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: 'const result = await takeReply(job, reply, attempt, this.#deps.log)',
        to: 'const result = attempt; void takeReply(job, reply, attempt, this.#deps.log)',
      },
    ],
    breaks: /^(replies|lost):/,
  },
  {
    name: 'settling although the reply could not be stored',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: "if (accepted.kind === 'refused') {",
        to: "if (accepted.kind === 'refused' && Number.isNaN(attempt.tookMs)) {",
      },
    ],
    breaks: /^replies:/,
  },
  {
    name: 'forgetting an event when its attempts are over',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: "return deadLetter === undefined ? { kind: 'parked', failure } : { kind: 'dead-letter', failure }",
        to: "return deadLetter === undefined ? { kind: 'done' } : { kind: 'dead-letter', failure }",
      },
    ],
    breaks: /^lost:/,
  },
  {
    name: 'one attempt too many',
    patches: [
      {
        file: 'broker/retry.ts',
        from: 'if (attemptsBefore >= policy.retries)',
        to: 'if (attemptsBefore > policy.retries)',
      },
    ],
    breaks: /^attempts:/,
  },
  {
    name: 'not looking for more work when an attempt is over',
    patches: [
      {
        file: 'broker/delivery.ts',
        from: 'if (sharing === undefined || sharing.length < 2) lane.pump()',
        to: 'if (sharing === undefined || sharing.length < 2) void lane',
      },
    ],
    breaks: /^liveness:/,
  },
]

for (const { name, patches, breaks } of mistakes) {
  test(`the simulation sees the mistake of ${name}`, async context => {
    const subject = await loadPatched(patches)
    const seen = await firstBroken(SEEDS_FOR_A_MISTAKE, seed => simulate(subject, seed))
    if (seen !== undefined) context.diagnostic(`seed ${seen.seed}: ${seen.words}`)
    assert.match(seen?.words ?? 'nothing', breaks)
  })
}
