import type { QueueClient } from '@azure/storage-queue'
import type { Clock } from '../../runtime/clock.ts'
import { inTime } from '../../runtime/in-time.ts'
import { azureIdentity } from '../azure-identity.ts'
import { noAnswer, TroubleError, trouble } from '../trouble.ts'
import { locateQueue, type QueueAccess, type QueuePlace, siblingOf } from './account.ts'
import { exactTexts } from './message-text.ts'
import { type Lost, type Trouble, troubleOf } from './outcome.ts'

export interface QueueMessage {
  /** The service's own, stable over deliveries. */
  readonly id: string
  /** Entitles to renew and delete, until a renewal or another delivery gives out a new one. */
  readonly receipt: string
  /** As the sender put it; base64 is not decoded. */
  readonly text: string
  /** How often it has been received, this time included. */
  readonly dequeueCount: number
  readonly insertedMs: number
}

/**
 * One queue of Azure Storage. Every call may be made concurrently, is tried once, and ends within `CALL_TIMEOUT_MS`.
 * All of them throw the signal's reason when it aborts: whether the service did what it was asked is then unknown.
 */
export interface StorageQueue {
  /** Address without credentials. */
  readonly url: string
  readonly name: string
  /** Takes up to `max` (32 at most) and hides them from others for `visibilityMs`, in whole seconds. Does not wait for any. */
  receive(max: number, visibilityMs: number, signal: AbortSignal): Promise<Received>
  /** Hides a message for `visibilityMs` from now; 0 gives it back at once. The old receipt is dead afterwards. */
  renew(message: Held, visibilityMs: number, signal: AbortSignal): Promise<Renewed>
  delete(message: Held, signal: AbortSignal): Promise<Deleted>
  /** Appends a message that never expires. Text that XML cannot hold is `rejected`. */
  put(text: string, signal: AbortSignal): Promise<Put>
  /** Makes the queue unless it is there. */
  create(signal: AbortSignal): Promise<{ readonly kind: 'created' } | Trouble>
  /** All messages, hidden ones included: an estimate of the service. @throws {StorageQueueError} unknown, which is not zero. */
  approximateCount(signal: AbortSignal): Promise<number>
  /** How many visible messages there are, `max` (32 at most) meaning "or more". @throws {StorageQueueError} */
  peekCount(max: number, signal: AbortSignal): Promise<number>
  /** Another queue of the same account, with the same credentials. */
  sibling(name: string): StorageQueue
}

export type Held = Pick<QueueMessage, 'id' | 'receipt'>
export type Received = { readonly kind: 'messages'; readonly messages: readonly QueueMessage[] } | Trouble
export type Renewed = { readonly kind: 'renewed'; readonly receipt: string } | Lost | Trouble
export type Deleted = { readonly kind: 'deleted' } | Lost | Trouble
export type Put = { readonly kind: 'put' } | Trouble

/** A count could not be read. */
export class StorageQueueError extends TroubleError<Trouble['what']> {
  override readonly name = 'StorageQueueError'
}

/** One request, from its first byte to the last of its answer. */
export const CALL_TIMEOUT_MS = 10_000
/** What the service gives at once. */
export const RECEIVE_MAX = 32

/**
 * A queue, not yet connected to: the SDK is loaded when it is first needed.
 * @throws {StorageAccessError} at once, where the credentials cannot be right.
 */
export function openStorageQueue(access: QueueAccess, clock: Clock): StorageQueue {
  return new SdkQueue(locateQueue(access), clock)
}

class SdkQueue implements StorageQueue {
  readonly #place: QueuePlace
  readonly #clock: Clock
  #client: Promise<QueueClient> | undefined

  constructor(place: QueuePlace, clock: Clock) {
    this.#place = place
    this.#clock = clock
  }

  get url(): string {
    return this.#place.url
  }

  get name(): string {
    return this.#place.name
  }

  async receive(max: number, visibilityMs: number, signal: AbortSignal): Promise<Received> {
    const asked = { numberOfMessages: Math.min(max, RECEIVE_MAX), visibilityTimeout: secondsOf(visibilityMs) }
    const answer = await this.#call(signal, async (client, abortSignal) => {
      const response = await client.receiveMessages({ ...asked, abortSignal })
      const texts = exactTexts(response._response.bodyAsText)
      const messages = response.receivedMessageItems.map((item, index) => ({
        id: item.messageId,
        receipt: item.popReceipt,
        text: texts?.[index] ?? item.messageText ?? '',
        dequeueCount: item.dequeueCount,
        insertedMs: item.insertedOn.getTime(),
      }))
      return { kind: 'messages' as const, messages }
    })
    return withoutLost(answer)
  }

  renew(message: Held, visibilityMs: number, signal: AbortSignal): Promise<Renewed> {
    return this.#call(signal, async (client, abortSignal) => {
      const options = { abortSignal }
      // Without a text the service keeps the one that is there.
      const done = await client.updateMessage(message.id, message.receipt, undefined, secondsOf(visibilityMs), options)
      return { kind: 'renewed' as const, receipt: done.popReceipt ?? message.receipt }
    })
  }

  delete(message: Held, signal: AbortSignal): Promise<Deleted> {
    return this.#call(signal, async (client, abortSignal) => {
      await client.deleteMessage(message.id, message.receipt, { abortSignal })
      return { kind: 'deleted' as const }
    })
  }

  async put(text: string, signal: AbortSignal): Promise<Put> {
    const answer = await this.#call(signal, async (client, abortSignal) => {
      await client.sendMessage(text, { messageTimeToLive: -1, abortSignal })
      return { kind: 'put' as const }
    })
    return withoutLost(answer)
  }

  async create(signal: AbortSignal): Promise<{ readonly kind: 'created' } | Trouble> {
    const answer = await this.#call(signal, async (client, abortSignal) => {
      await client.createIfNotExists({ abortSignal })
      return { kind: 'created' as const }
    })
    return withoutLost(answer)
  }

  async approximateCount(signal: AbortSignal): Promise<number> {
    const answer = await this.#call(signal, async (client, abortSignal) => {
      const { approximateMessagesCount } = await client.getProperties({ abortSignal })
      if (approximateMessagesCount === undefined)
        return trouble('rejected', `${this.url} does not say how many there are`)
      return { kind: 'count' as const, count: approximateMessagesCount }
    })
    return countOf(answer)
  }

  async peekCount(max: number, signal: AbortSignal): Promise<number> {
    const answer = await this.#call(signal, async (client, abortSignal) => {
      const numberOfMessages = Math.min(max, RECEIVE_MAX)
      const { peekedMessageItems } = await client.peekMessages({ numberOfMessages, abortSignal })
      return { kind: 'count' as const, count: peekedMessageItems.length }
    })
    return countOf(answer)
  }

  sibling(name: string): StorageQueue {
    return new SdkQueue(siblingOf(this.#place, name), this.#clock)
  }

  /** Runs one request of the SDK within the time a request may take, and puts its failure into words. */
  async #call<T>(
    signal: AbortSignal,
    request: (client: QueueClient, signal: AbortSignal) => Promise<T>,
  ): Promise<T | Lost | Trouble> {
    signal.throwIfAborted()
    this.#client ??= connect(this.#place)
    const client = await this.#client
    try {
      const ask = (inner: AbortSignal) => request(client, inner)
      return await inTime(this.#clock, CALL_TIMEOUT_MS, signal, ask, noAnswer(this.url, CALL_TIMEOUT_MS))
    } catch (error) {
      signal.throwIfAborted()
      return troubleOf(error, this.url)
    }
  }
}

async function connect(place: QueuePlace): Promise<QueueClient> {
  const sdk = await import('@azure/storage-queue')
  const { credential } = place
  // Whoever calls knows what a second try may cost: a repeated receive hides messages that nobody holds.
  const options = { retryOptions: { maxTries: 1 } }
  if (credential.kind === 'key') {
    const shared = new sdk.StorageSharedKeyCredential(credential.account, credential.key)
    return new sdk.QueueClient(place.url, sdk.newPipeline(shared, options))
  }
  if (credential.kind === 'identity') {
    return new sdk.QueueClient(place.url, sdk.newPipeline(await azureIdentity(credential.clientId), options))
  }
  return new sdk.QueueClient(
    `${place.url}?${credential.query}`,
    sdk.newPipeline(new sdk.AnonymousCredential(), options),
  )
}

/** Rounded up, so that a lease never ends before its holder thinks so. */
function secondsOf(ms: number): number {
  return Math.ceil(ms / 1000)
}

function withoutLost<T>(answer: T | Lost | Trouble): T | Trouble {
  if (isLost(answer)) return trouble('rejected', 'the service speaks of a message where none was named')
  return answer
}

function isLost(answer: unknown): answer is Lost {
  return typeof answer === 'object' && answer !== null && 'kind' in answer && answer.kind === 'lost'
}

function countOf(answer: { readonly kind: 'count'; readonly count: number } | Lost | Trouble): number {
  const known = withoutLost(answer)
  if (known.kind === 'count') return known.count
  throw new StorageQueueError(known)
}
