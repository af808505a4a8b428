import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Routes } from '../../contract/routes.ts'
import { FAST, routes, trigger, url } from '../support/running-broker.ts'
import { storePlace } from '../support/sqlite-store.ts'
import { openSubscriber } from '../support/subscriber.ts'
import { type ChildBroker, patchedBroker, SHIPPED, startBroker } from './child-broker.ts'

const KILLS = 4
const SENDERS = 6
const RETRIES = 3
/** What was answered this long before a kill is settled on disk, also on a busy machine. */
const SETTLED_FOR_SURE_MS = 1500
/** Longer than an attempt takes to be written down, so that a kill repeats one attempt at most. */
const BACKOFF_MS = 150
const DRAIN_MS = 60_000
const RUNS_FOR_A_MISTAKE = 8

/** What became of an event at one destination. */
interface Story {
  /** When a 2xx was answered, ms. */
  readonly successes: number[]
  attempts: number
}

/** From when to when a process was killed: then what it had on the way has come, too. Ms. */
interface Kill {
  readonly fromMs: number
  readonly untilMs: number
}

/** What a run came to. */
interface Run {
  /** Ids answered with 202. */
  readonly accepted: ReadonlySet<string>
  /** Ids posted, whatever was answered. */
  readonly posted: ReadonlySet<string>
  /** `all/e17`, `odd/e17`, `dead/e17` → what its destination saw. */
  readonly stories: ReadonlyMap<string, Story>
  readonly kills: readonly Kill[]
  /** Deliveries that were not over when the test had waited for them. */
  readonly owed: number
}

const isOdd = (id: string) => Number(id.slice(1)) % 2 === 1
/** Fails for good, and goes to the dead-letter sink of the Trigger `all`. */
const isHopeless = (id: string) => Number(id.slice(1)) % 10 === 0
/** Fails twice before it succeeds. */
const isHard = (id: string) => Number(id.slice(1)) % 4 === 3

/** Broker processes on one folder, killed under load one after the other; the last one lives until nothing is owed. */
async function killedRun(base: string, times: number, drainMs: number): Promise<Run> {
  const stories = new Map<string, Story>()
  await using subscriber = await openSubscriber(({ path, headers }, response) => {
    const id = String(headers['ce-id'])
    const key = `${path.slice(1)}/${id}`
    const story = stories.get(key) ?? { successes: [], attempts: 0 }
    stories.set(key, story)
    story.attempts++
    const fails = path === '/all' && (isHopeless(id) || (isHard(id) && story.attempts <= 2))
    if (!fails) story.successes.push(performance.now())
    response.writeHead(fails ? 503 : 200, { 'content-length': 0 }).end()
  })
  const delivery = { ...FAST, retries: RETRIES, backoffMs: BACKOFF_MS }
  const wanted: Routes = routes([
    trigger('all', `${subscriber.origin}/all`, { delivery, deadLetter: url(`${subscriber.origin}/dead`) }),
    trigger('odd', `${subscriber.origin}/odd`, { delivery, filters: [{ exact: { type: 'odd' } }] }),
  ])
  await using place = await storePlace()
  const accepted = new Set<string>()
  const posted = new Set<string>()
  const kills: Kill[] = []
  let broker: ChildBroker = await startBroker(place.dir, { base, routes: wanted })
  const sending = new AbortController()
  const send = async () => {
    while (!sending.signal.aborted) {
      const id = `e${posted.size}`
      posted.add(id)
      if (await post(broker.origin, id)) accepted.add(id)
      else await sleep(20)
    }
  }
  const senders = Array.from({ length: SENDERS }, send)
  try {
    for (let kill = 0; kill < times; kill++) {
      await sleep(SETTLED_FOR_SURE_MS + 100 + ((kill * 397) % 700))
      const fromMs = performance.now()
      await broker.kill()
      await sleep(50)
      kills.push({ fromMs, untilMs: performance.now() })
      broker = await startBroker(place.dir, { base, routes: wanted })
    }
    sending.abort()
    await Promise.all(senders)
    return { accepted, posted, stories, kills, owed: await owedAfter(broker, drainMs) }
  } finally {
    sending.abort()
    await Promise.all(senders)
    await broker.kill()
  }
}

/** What is owed once nothing is, or after `limitMs`. */
async function owedAfter(broker: ChildBroker, limitMs: number): Promise<number> {
  const untilMs = performance.now() + limitMs
  for (;;) {
    const owed = await broker.owed()
    if (owed === 0 || performance.now() > untilMs) return owed
    await sleep(50)
  }
}

/** Whether the event was taken: a lost answer is a no. */
async function post(origin: string, id: string): Promise<boolean> {
  try {
    const response = await fetch(`${origin}/shop/main`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'ce-specversion': '1.0',
        'ce-id': id,
        'ce-source': '/test',
        'ce-type': isOdd(id) ? 'odd' : 'even',
      },
      body: `{"id":"${id}"}`,
    })
    await response.arrayBuffer()
    return response.status === 202
  } catch {
    return false
  }
}

/** Every promise that a run broke, in words. */
function brokenPromises({ accepted, posted, stories, kills, owed }: Run): string[] {
  const broken = owed === 0 ? [] : [`${owed} deliveries do not end`]
  for (const id of accepted) {
    const destinations = [isHopeless(id) ? 'dead' : 'all', ...(isOdd(id) ? ['odd'] : [])]
    for (const name of destinations) {
      if ((stories.get(`${name}/${id}`)?.successes.length ?? 0) === 0) broken.push(`${name}/${id} is lost`)
    }
  }
  const unsettled = (atMs: number, nextMs: number) =>
    kills.some(({ fromMs, untilMs }) => atMs <= untilMs && fromMs <= nextMs && fromMs - atMs < SETTLED_FOR_SURE_MS)
  for (const [key, { successes, attempts }] of stories) {
    const [name = '', id = ''] = key.split('/')
    if (!posted.has(id) || (name === 'odd' && !isOdd(id)) || (name === 'dead' && !isHopeless(id))) {
      broken.push(`${key} is unexpected`)
    }
    successes.forEach((atMs, at) => {
      const before = successes[at - 1]
      if (before !== undefined && !unsettled(before, atMs)) broken.push(`${key} came again after it was settled`)
    })
    const planned = name !== 'all' ? 1 : isHopeless(id) ? 1 + RETRIES : isHard(id) ? 3 : 1
    if (attempts > planned + kills.length) broken.push(`${key} was attempted ${attempts} times`)
  }
  return broken
}

test('kill -9 of the whole broker under load loses nothing that was answered 202, and repeats only what was in flight', async t => {
  const run = await killedRun(SHIPPED, KILLS, DRAIN_MS)
  const repeated = [...run.stories.values()].filter(({ successes }) => successes.length > 1).length
  const most = Math.max(...[...run.stories.values()].map(({ attempts }) => attempts))
  t.diagnostic(`${run.accepted.size} accepted, ${KILLS} kills, ${repeated} came twice, at most ${most} attempts`)
  assert.deepEqual(brokenPromises(run).slice(0, 20), [])
  assert.ok(run.accepted.size > 200, 'too little was sent to prove anything')
  assert.ok(
    [...run.stories].some(([key]) => key.startsWith('dead/')),
    'nothing was dead-lettered',
  )
})

const MISTAKES = [
  {
    what: 'a recovery that forgets whom an event is owed to',
    file: 'broker/stores/sqlite/tables.ts',
    from: 'for (const key of keys ?? []) owe.run(',
    to: 'for (const key of keys?.slice(1) ?? []) owe.run(',
    seen: /is lost$/,
  },
  {
    what: 'settlements that are never written',
    file: 'broker/stores/sqlite/committer.ts',
    from: 'this.#open.group.done(trigger, seq)',
    to: '',
    seen: /came again after it was settled$/,
  },
  {
    what: 'attempts that are not counted on disk',
    file: 'broker/stores/sqlite/writer.ts',
    from: '      dueMs,\n      attempt,\n',
    to: '      dueMs,\n      0,\n',
    seen: /was attempted \d+ times$/,
  },
] as const

for (const { what, seen, ...patch } of MISTAKES) {
  test(`the test sees the mistake of ${what}`, async () => {
    using patched = patchedBroker([patch])
    const broken: string[] = []
    // One kill may come at a moment when the mistake does no harm.
    for (let run = 0; run < RUNS_FOR_A_MISTAKE && !broken.some(words => seen.test(words)); run++) {
      broken.push(...brokenPromises(await killedRun(patched.base, 1, 4000)))
    }
    assert.ok(
      broken.some(words => seen.test(words)),
      broken.slice(0, 5).join('\n') || 'no promise was broken',
    )
  })
}
