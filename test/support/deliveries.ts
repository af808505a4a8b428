import assert from 'node:assert/strict'
import type { Attempt, DeliveryRequest } from '../../broker/attempt.ts'
import { Budget } from '../../broker/budget.ts'
import { Delivery } from '../../broker/delivery.ts'
import { Endpoints } from '../../broker/endpoints.ts'
import type { LaneSpec } from '../../broker/job.ts'
import { openJournal } from '../../broker/journal.ts'
import type { EventStore } from '../../broker/store.ts'
import { openMemoryStore } from '../../broker/stores/memory.ts'
import { brokerId, workloadId } from '../../contract/ids.ts'
import type { TriggerRoute } from '../../contract/routes.ts'
import { noAttributes } from '../../event/attributes.ts'
import type { CloudEvent } from '../../event/event.ts'
import { silentLog } from '../../runtime/log.ts'
import { ManualClock, settle } from './manual-clock.ts'

export const broker = brokerId('shop', 'main')
export const worker = workloadId('Deployment', 'shop', 'worker')
export const asleep = { kind: 'workload', address: 'http://worker', workload: worker, path: '/in' } as const
export const ready = { [worker]: [{ id: 'w0', origin: 'http://w0', state: 'ready' as const }] }
export const ok: Attempt = { kind: 'delivered', status: 200, tookMs: 1, reply: undefined, plainBody: false }
export const failed: Attempt = { kind: 'answered', status: 500, tookMs: 1, retryAfterMs: undefined, excerpt: '' }
export const refused: Attempt = { kind: 'answered', status: 422, tookMs: 1, retryAfterMs: undefined, excerpt: 'no' }

/** Deliveries on a clock that stands still, with attempts that end when the test says so. */
export async function openDeliveries(
  all: readonly TriggerRoute[],
  maxBytes = 1 << 20,
  clock = new ManualClock(),
  store: EventStore = openMemoryStore(clock),
) {
  const endpoints = new Endpoints(clock)
  const open: { readonly request: DeliveryRequest; readonly end: (attempt: Attempt) => void }[] = []
  const broken: Error[] = []
  const delivery = new Delivery({
    clock,
    random: () => 0.5,
    log: silentLog,
    deliver: request => new Promise(end => void open.push({ request, end })),
    endpoints,
    budget: new Budget(maxBytes),
    onBroken: error => broken.push(error),
  })
  const intake = { broker, store, budget: new Budget(1 << 20), onStored() {} }
  const recorder = openJournal(clock).recorder()
  const match = () => all.map(route => route.id)
  await store.route({ triggers: all.map(({ id, uid }) => ({ id, uid, broker })), match })
  store.onDue(id => delivery.wake(id))
  const held: string[] = []
  delivery.onHeld(id => held.push(id))
  const specs = all.map((route): LaneSpec => ({ route, broker, namespace: 'shop', store, intake, recorder }))
  delivery.apply(specs)
  return {
    clock,
    delivery,
    endpoints,
    held,
    open,
    specs,
    broken,
    store,
    scale(replicas: typeof ready | Record<string, never>) {
      delivery.replicasChanged(endpoints.apply(replicas))
    },
    async append(count: number, bytes = 2, more: Readonly<Record<string, string>> = {}) {
      for (let i = 0; i < count; i++) {
        const { matched } = await store.append(broker, eventOf(String(i), bytes, more), 254)
        delivery.offered(matched ?? [])
      }
      await settle()
    },
    /** Ends the oldest attempt that is open. */
    async end(attempt: Attempt) {
      const one = open.shift()
      assert.ok(one !== undefined, 'an attempt is open')
      one.end(attempt)
      await settle()
      return one.request
    },
  }
}

function eventOf(id: string, bytes: number, more: Readonly<Record<string, string>>): CloudEvent {
  const attributes = Object.assign(noAttributes(), { specversion: '1.0', id, source: '/s', type: 't', ...more })
  return { mode: 'binary', attributes, body: Buffer.alloc(bytes) }
}
