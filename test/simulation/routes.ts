import { triggerId, workloadId } from '../../contract/ids.ts'
import { PLAIN_TRIGGER, type TriggerRoute } from '../../contract/routes.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import type { Dice } from '../support/dice.ts'

export const worker = workloadId('Deployment', 'sim', 'worker')

export function wants(route: TriggerRoute, event: CloudEvent): boolean {
  return route.id.endsWith('0') || event.attributes.type === 't1'
}

export function eventOf(id: string, type: string, partitionkey?: string): CloudEvent {
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id, source: '/sim', type })
  if (partitionkey !== undefined) attributes.partitionkey = partitionkey
  return { mode: 'binary', attributes, body: Buffer.from(id) }
}

export function randomRoute(i: number, dice: Dice): TriggerRoute {
  const name = `trigger${i}`
  const url = (path: string) => ({ kind: 'url', address: `http://sim/${path}` }) as const
  return {
    id: triggerId('sim', name),
    uid: name,
    filters: [],
    subscriber: dice.chance(0.4)
      ? { kind: 'workload', address: 'http://worker', workload: worker, path: `/${name}` }
      : url(name),
    deadLetter: dice.chance(0.5) ? url(`${name}/sink`) : undefined,
    delivery: {
      retries: dice.below(5),
      backoff: dice.pick(['exponential', 'linear']),
      backoffMs: dice.pick([0, 1, 10, 100]),
      backoffMaxMs: undefined,
      timeoutMs: 1000,
      retryAfterMaxMs: undefined,
      jitter: false,
      format: undefined,
    },
    concurrency: 1 + dice.below(3),
    reply: 'lenient',
    ...PLAIN_TRIGGER,
  }
}

/** The first is always ordered, the others as it comes; batches are rarer. */
export function orderedRoute(route: TriggerRoute, i: number, dice: Dice): TriggerRoute {
  return {
    ...route,
    order: i === 0 || dice.chance(0.5) ? 'partitionkey' : undefined,
    batch: dice.chance(0.25)
      ? { maxEvents: 2 + dice.below(3), maxWaitMs: dice.pick([10, 100]), maxBytes: 1 << 20 }
      : undefined,
  }
}
