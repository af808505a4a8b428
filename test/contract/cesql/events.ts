import type { CloudEvent } from '../../../event/event.ts'
import { bare } from '../../support/arbitraries.ts'

/** An event with these attributes beside the required ones. */
export function eventWith(more: Readonly<Record<string, string>> = {}): CloudEvent {
  const required = { specversion: '1.0', id: '42', source: 'https://shop.example/eu', type: 'order.created' }
  return { mode: 'binary', attributes: bare({ ...required, ...more }), body: new Uint8Array() }
}
