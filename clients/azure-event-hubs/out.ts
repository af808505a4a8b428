import type { EventData, EventDataBatch, EventHubProducerClient } from '@azure/event-hubs'
import type { Clock } from '../../runtime/clock.ts'
import { endInTime, inTime } from '../../runtime/in-time.ts'
import { azureIdentity } from '../azure-identity.ts'
import { trouble } from '../trouble.ts'
import { type HubAccess, namespaceOf } from './access.ts'
import { hubTroubleOf, type Trouble } from './outcome.ts'

/** An event on its way to a hub. */
export interface OutEvent {
  /** Events with the same one go to the same partition, in the order in which they are published. */
  readonly partitionKey: string | undefined
  readonly contentType: string | undefined
  readonly properties: Readonly<Record<string, unknown>>
  readonly body: Uint8Array
}

export type Published = { readonly kind: 'confirmed' } | { readonly kind: 'too-large' } | Trouble

/** The way into a hub. */
export interface HubOut extends AsyncDisposable {
  /** `sb://namespace/hub`: safe to show. */
  readonly url: string
  /**
   * Resolves when the hub has confirmed it. May be called as often as one likes at once: what waits goes together.
   * @throws the signal's reason when it aborts; whether the hub has it is then unknown.
   */
  publish(event: OutEvent, signal: AbortSignal): Promise<Published>
}

/** One batch, from its first byte to the hub's word. */
const SEND_TIMEOUT_MS = 10_000
const CLOSE_MS = 3_000
const BATCH_EVENTS = 500

interface Waiting {
  readonly event: OutEvent
  readonly done: PromiseWithResolvers<Published>
  readonly signal: AbortSignal
}

/** A way not yet connected: the client is loaded with the first event. */
export function openHubOut(access: HubAccess, clock: Clock): HubOut {
  return new SdkOut(access, clock)
}

class SdkOut implements HubOut {
  readonly url: string
  readonly #access: HubAccess
  readonly #clock: Clock
  /** By partition key, in order; one batch of each is on its way at a time. */
  readonly #queues = new Map<string | undefined, Waiting[]>()
  readonly #closing = new AbortController()
  #client: Promise<EventHubProducerClient> | undefined

  constructor(access: HubAccess, clock: Clock) {
    this.#access = access
    this.#clock = clock
    this.url = `sb://${namespaceOf(access)}/${access.hub}`
  }

  async publish(event: OutEvent, signal: AbortSignal): Promise<Published> {
    signal.throwIfAborted()
    const done = Promise.withResolvers<Published>()
    const abort = () => done.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const key = event.partitionKey
    const queue = this.#queues.get(key)
    const waiting = { event, done, signal }
    if (queue !== undefined) queue.push(waiting)
    else {
      this.#queues.set(key, [waiting])
      void this.#sendAll(key)
    }
    try {
      return await done.promise
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the sink closes'))
    const client = await this.#client?.catch(() => undefined)
    this.#client = undefined
    if (client !== undefined) await this.#close(client)
  }

  async #sendAll(partitionKey: string | undefined): Promise<void> {
    for (;;) {
      const queue = this.#queues.get(partitionKey)?.filter(one => !one.signal.aborted) ?? []
      if (queue.length === 0) break
      const { sent, outcome } = await this.#sendSome(queue, partitionKey)
      // Others may have come while these were on their way.
      const rest = this.#queues.get(partitionKey)?.filter(one => !sent.includes(one)) ?? []
      this.#queues.set(partitionKey, rest)
      for (const { done } of sent) done.resolve(outcome)
    }
    this.#queues.delete(partitionKey)
  }

  /** As many of the first as one batch holds; all of them fare alike. Never rejects. */
  async #sendSome(
    queue: readonly Waiting[],
    partitionKey: string | undefined,
  ): Promise<{ readonly sent: readonly Waiting[]; readonly outcome: Published }> {
    let sent: readonly Waiting[] = queue.slice(0, BATCH_EVENTS)
    const send = async (client: EventHubProducerClient, abortSignal: AbortSignal): Promise<Published> => {
      const batch = await client.createBatch({ abortSignal, ...(partitionKey !== undefined && { partitionKey }) })
      const fitting = fill(batch, sent)
      sent = sent.slice(0, Math.max(1, fitting))
      if (fitting === 0) return { kind: 'too-large' }
      await client.sendBatch(batch, { abortSignal })
      return { kind: 'confirmed' }
    }
    const late = trouble('unreachable', `${this.url} has not confirmed within ${SEND_TIMEOUT_MS / 1000} s`)
    try {
      this.#client ??= connect(this.#access)
      const client = await this.#client
      const { signal } = this.#closing
      const outcome = await inTime(this.#clock, SEND_TIMEOUT_MS, signal, inner => send(client, inner), late)
      if (outcome === late) {
        // Its connection may be one that nobody holds at the other end.
        this.#client = undefined
        void this.#close(client)
      }
      return { sent, outcome }
    } catch (error) {
      const found = hubTroubleOf(error, this.url)
      const outcome = found.kind === 'trouble' ? found : trouble('rejected', `${this.url} took the link away`)
      return { sent, outcome }
    }
  }

  /** Never rejects, and waits no longer than it should. */
  async #close(client: EventHubProducerClient): Promise<void> {
    await endInTime(this.#clock, CLOSE_MS, () => client.close())
  }
}

/** @returns how many of the first are in the batch. */
function fill(batch: EventDataBatch, waiting: readonly Waiting[]): number {
  let count = 0
  for (const { event } of waiting) {
    if (!batch.tryAdd(dataOf(event))) break
    count++
  }
  return count
}

function dataOf({ body, contentType, properties }: OutEvent): EventData {
  // A Buffer goes out as a data section; other types would be written as JSON.
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  return { body: bytes, properties: { ...properties }, ...(contentType !== undefined && { contentType }) }
}

async function connect(access: HubAccess): Promise<EventHubProducerClient> {
  const { EventHubProducerClient: Client } = await import('@azure/event-hubs')
  // Whoever sends tries again, with its own back-off.
  const options = { retryOptions: { maxRetries: 0, timeoutInMs: SEND_TIMEOUT_MS } }
  if (!('connectionString' in access))
    return new Client(access.namespace, access.hub, await azureIdentity(access.clientId), options)
  const { connectionString, hub } = access
  if (/(^|;)\s*EntityPath=/i.test(connectionString)) return new Client(connectionString, options)
  return new Client(connectionString, hub, options)
}
