import type {
  EventHubConsumerClient,
  EventPosition,
  PartitionProperties,
  ReceivedEventData,
  SubscriptionEventHandlers,
} from '@azure/event-hubs'
import type { Clock } from '../../runtime/clock.ts'
import { endInTime, inTime } from '../../runtime/in-time.ts'
import { azureIdentity } from '../azure-identity.ts'
import { noAnswer, trouble } from '../trouble.ts'
import { type HubAccess, namespaceOf } from './access.ts'
import { limitCredit } from './credit.ts'
import { hubTroubleOf, type Stolen, type Trouble } from './outcome.ts'

/** An event as the service keeps it. */
export interface HubEvent {
  /** Its place in its partition; grows, and is never given again. */
  readonly sequence: number
  /** The same place as the service's storage counts it. */
  readonly offset: string
  readonly enqueuedMs: number
  readonly partitionKey: string | undefined
  readonly messageId: string | undefined
  readonly correlationId: string | undefined
  readonly contentType: string | undefined
  readonly properties: Readonly<Record<string, unknown>>
  readonly body: Uint8Array
}

export interface PartitionFacts {
  /** Of the oldest event that is kept. */
  readonly first: number
  /** Of the newest, kept or not; -1 where there never was one. */
  readonly last: number
  readonly lastOffset: string
  readonly lastEnqueuedMs: number
  readonly empty: boolean
}

export interface Partitions {
  readonly kind: 'partitions'
  readonly ids: readonly string[]
  /** When the hub was made: another one of the same name has another, and counts its events from the beginning. */
  readonly createdMs: number
}

/** Where reading begins. */
export type From =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'after'; readonly sequence: number }
  | { readonly kind: 'after-offset'; readonly offset: string }
  | { readonly kind: 'time'; readonly timeMs: number }

export type Ended = { readonly kind: 'stopped' } | Stolen | Trouble

/** One hub, as one consumer group sees it. Calls may be made concurrently. */
export interface EventHub extends AsyncDisposable {
  /** `acme.servicebus.windows.net`, as checkpoints name it. */
  readonly namespace: string
  readonly name: string
  readonly group: string
  /** `sb://namespace/hub`: safe to show. */
  readonly url: string
  /** @throws the signal's reason. */
  partitions(signal: AbortSignal): Promise<Partitions | Trouble>
  /** @throws the signal's reason. */
  facts(partition: string, signal: AbortSignal): Promise<({ readonly kind: 'facts' } & PartitionFacts) | Trouble>
  /**
   * Reads a partition in order until it is told to stop, loses the partition to a reader with the same or a higher epoch, or
   * fails. `take` is called with one batch at a time, and with none after a second without events; the next comes when it has
   * resolved. Resolves when the last `take` has ended too. @throws what `take` throws.
   */
  read(reading: Reading, signal: AbortSignal): Promise<Ended>
}

export interface Reading {
  readonly partition: string
  readonly from: From
  /** A reader with a lower one is cut off and kept out. */
  readonly epoch: number
  readonly take: (events: readonly HubEvent[]) => Promise<void>
}

/** One question, from its first byte to the last of its answer. */
export const CALL_TIMEOUT_MS = 10_000
/** What one batch holds at most, and what is fetched ahead. */
export const BATCH_EVENTS = 100
/** After so long without events it is asked whether there are any: links have been seen to go silent. */
const SILENT_MS = 30_000
/** Longer than opening a link may take, and than a question of the watch. */
const STUCK_MS = 30_000
/** Closing waits for the other side so long. */
const CLOSE_MS = 3_000

/** A hub, not yet connected to: the client is loaded when it is first needed. */
export function openEventHub(access: HubAccess, group: string, clock: Clock): EventHub {
  return new SdkHub(access, group, clock)
}

class SdkHub implements EventHub {
  readonly namespace: string
  readonly name: string
  readonly group: string
  readonly url: string
  readonly #access: HubAccess
  readonly #clock: Clock
  #client: Promise<EventHubConsumerClient> | undefined

  constructor(access: HubAccess, group: string, clock: Clock) {
    this.#access = access
    this.#clock = clock
    this.namespace = namespaceOf(access)
    this.name = access.hub
    this.group = group
    this.url = `sb://${this.namespace}/${access.hub}`
  }

  async partitions(signal: AbortSignal) {
    return this.#ask(signal, async (client, abortSignal) => {
      const { partitionIds, createdOn } = await client.getEventHubProperties({ abortSignal })
      return { kind: 'partitions' as const, ids: partitionIds, createdMs: createdOn.getTime() }
    })
  }

  async facts(partition: string, signal: AbortSignal) {
    return this.#ask(signal, async (client, abortSignal) =>
      factsOf(await client.getPartitionProperties(partition, { abortSignal })),
    )
  }

  async read({ partition, from, epoch, take }: Reading, signal: AbortSignal): Promise<Ended> {
    if (signal.aborted) return { kind: 'stopped' }
    const client = await this.#connected()
    const over = Promise.withResolvers<Ended>()
    const stop = () => over.resolve({ kind: 'stopped' })
    signal.addEventListener('abort', stop, { once: true })
    let working: Promise<void> = Promise.resolve()
    let ended = false
    const watch = new Watch(this.#clock, from, () => this.facts(partition, signal))
    // The client calls at least every second while it is well; where it never calls again, nobody else would notice.
    const stuck = trouble('unreachable', `${this.url} is not heard of: the link is made again`)
    const listen = () => this.#clock.after(STUCK_MS, () => over.resolve(stuck))
    let deaf = listen()
    const handlers: SubscriptionEventHandlers = {
      processEvents: async received => {
        if (ended) return
        deaf()
        const events = received.map(hubEventOf)
        working = take(events)
        await working.catch(over.reject)
        const silent = await watch.look(events).catch(() => undefined)
        if (silent !== undefined) over.resolve(silent)
        if (!ended) deaf = listen()
      },
      processClose: async () => over.resolve(trouble('unreachable', `the link to ${this.url} was closed`)),
      processError: async error => over.resolve(hubTroubleOf(error, this.url)),
    }
    const subscription = client.subscribe(partition, handlers, {
      startPosition: positionOf(from),
      ownerLevel: epoch,
      maxBatchSize: BATCH_EVENTS,
      prefetchCount: BATCH_EVENTS,
      maxWaitTimeInSeconds: 1,
      skipParsingBodyAsJson: true,
    })
    try {
      return await over.promise
    } finally {
      ended = true
      deaf()
      signal.removeEventListener('abort', stop)
      await working.catch(() => {})
      await this.#close(subscription)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const client = await this.#client?.catch(() => undefined)
    this.#client = undefined
    if (client !== undefined) await this.#close(client)
  }

  #connected(): Promise<EventHubConsumerClient> {
    this.#client ??= connect(this.#access, this.group)
    return this.#client
  }

  async #ask<T>(
    signal: AbortSignal,
    request: (client: EventHubConsumerClient, signal: AbortSignal) => Promise<T>,
  ): Promise<T | Trouble> {
    const late = noAnswer(this.url, CALL_TIMEOUT_MS)
    try {
      const client = await this.#connected()
      const answer = await inTime(this.#clock, CALL_TIMEOUT_MS, signal, inner => request(client, inner), late)
      if (answer !== late) return answer
      // Its connection may be one that nobody holds at the other end.
      this.#client = undefined
      void this.#close(client)
      return late
    } catch (error) {
      signal.throwIfAborted()
      const found = hubTroubleOf(error, this.url)
      return found.kind === 'trouble' ? found : late
    }
  }

  /** Never rejects, and waits no longer than it should. */
  async #close(open: { close(): Promise<void> }): Promise<void> {
    await endInTime(this.#clock, CLOSE_MS, () => open.close())
  }
}

/** Looks after a link that brings nothing. */
class Watch {
  readonly #clock: Clock
  readonly #facts: () => Promise<({ readonly kind: 'facts' } & PartitionFacts) | Trouble>
  #seen: number | undefined
  #quietSinceMs: number

  constructor(clock: Clock, from: From, facts: () => Promise<({ readonly kind: 'facts' } & PartitionFacts) | Trouble>) {
    this.#clock = clock
    this.#facts = facts
    if (from.kind === 'after') this.#seen = from.sequence
    else if (from.kind === 'earliest') this.#seen = -1
    this.#quietSinceMs = clock.monotonicMs()
  }

  /** @returns what is wrong where events wait that do not come. */
  async look(events: readonly HubEvent[]): Promise<Trouble | undefined> {
    const nowMs = this.#clock.monotonicMs()
    const last = events.at(-1)
    if (last !== undefined) {
      this.#seen = last.sequence
      this.#quietSinceMs = nowMs
    }
    if (nowMs - this.#quietSinceMs < SILENT_MS) return undefined
    this.#quietSinceMs = nowMs
    const facts = await this.#facts()
    if (facts.kind === 'trouble') return facts
    if (this.#seen === undefined || facts.empty || facts.last <= this.#seen) return undefined
    return trouble('unreachable', `events wait that do not come: the link is made again`)
  }
}

async function connect(access: HubAccess, group: string): Promise<EventHubConsumerClient> {
  const client = await openClient(access, group)
  limitCredit(client)
  return client
}

async function openClient(access: HubAccess, group: string): Promise<EventHubConsumerClient> {
  const { EventHubConsumerClient: Client } = await import('@azure/event-hubs')
  // Whoever calls tries again, with its own back-off, and says that there is trouble.
  const options = { retryOptions: { maxRetries: 0, timeoutInMs: CALL_TIMEOUT_MS } }
  if ('connectionString' in access) {
    const { connectionString, hub } = access
    if (/(^|;)\s*EntityPath=/i.test(connectionString)) return new Client(group, connectionString, options)
    return new Client(group, connectionString, hub, options)
  }
  return new Client(group, access.namespace, access.hub, await azureIdentity(access.clientId), options)
}

function positionOf(from: From): EventPosition {
  switch (from.kind) {
    case 'earliest':
      return { offset: '-1' }
    case 'after':
      // Nothing has the number -1: it stands for a partition that was empty.
      if (from.sequence < 0) return { offset: '-1' }
      return { sequenceNumber: from.sequence, isInclusive: false }
    case 'after-offset':
      return { offset: from.offset, isInclusive: false }
    case 'time':
      return { enqueuedOn: from.timeMs }
    default:
      return from satisfies never
  }
}

function factsOf(properties: PartitionProperties): { readonly kind: 'facts' } & PartitionFacts {
  return {
    kind: 'facts',
    first: properties.beginningSequenceNumber,
    last: properties.lastEnqueuedSequenceNumber,
    lastOffset: properties.lastEnqueuedOffset,
    lastEnqueuedMs: properties.lastEnqueuedOnUtc.getTime(),
    empty: properties.isEmpty,
  }
}

function hubEventOf(event: ReceivedEventData): HubEvent {
  const { sequenceNumber, offset, enqueuedTimeUtc, partitionKey, messageId, correlationId, contentType } = event
  return {
    sequence: sequenceNumber,
    offset: String(offset),
    enqueuedMs: enqueuedTimeUtc.getTime(),
    partitionKey: partitionKey ?? undefined,
    messageId: textOf(messageId),
    correlationId: textOf(correlationId),
    contentType,
    properties: event.properties ?? {},
    body: bytesOf(event.body),
  }
}

function textOf(id: string | number | Uint8Array | undefined): string | undefined {
  if (id === undefined || id === null) return undefined
  return typeof id === 'object' ? Buffer.from(id).toString('hex') : String(id)
}

/** The bytes of a data section as they came. Values of AMQP itself, which few senders use, as text or JSON. */
function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body
  if (body === undefined || body === null) return new Uint8Array()
  if (typeof body === 'string') return Buffer.from(body)
  return Buffer.from(JSON.stringify(body))
}
