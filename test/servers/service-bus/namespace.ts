import type { Message } from 'rhea'
import { Entity, type EntityOptions } from './entity.ts'

/** What may be said of a queue, or of a topic and all of its subscriptions. */
export interface EntityWish extends Partial<EntityOptions> {
  /** With it, it is a topic. */
  readonly subscriptions?: readonly string[]
}

const USUAL: EntityOptions = { lockMs: 30_000, maxDeliveryCount: 10, sessions: false, deadLetterOnExpiry: false }

/** The queues, topics and subscriptions of a namespace. Names are the same in any case. */
export class Namespace {
  readonly #entities = new Map<string, Entity>()
  /** The subscriptions of each topic. */
  readonly #topics = new Map<string, readonly string[]>()

  create(name: string, { subscriptions, ...wish }: EntityWish = {}): void {
    const options = { ...USUAL, ...wish }
    const paths = subscriptions?.map(subscription => `${name}/Subscriptions/${subscription}`) ?? [name]
    if (subscriptions !== undefined) this.#topics.set(name.toLowerCase(), paths)
    for (const path of paths) this.#add(path, options)
  }

  /** @returns the entities that are gone. */
  remove(name: string): Entity[] {
    const paths = this.#topics.get(name.toLowerCase()) ?? [name]
    this.#topics.delete(name.toLowerCase())
    return paths.flatMap(path => {
      const found = this.at(path)
      this.#entities.delete(path.toLowerCase())
      found?.stop()
      return found === undefined ? [] : [found]
    })
  }

  /** A queue or subscription, or the dead-letter queue of one. */
  at(path: string): Entity | undefined {
    const dead = /^(.*)\/\$deadletterqueue$/i.exec(path)?.[1]
    if (dead !== undefined) return this.#entities.get(dead.toLowerCase())?.deadLetters
    return this.#entities.get(path.toLowerCase())
  }

  has(path: string): boolean {
    return this.at(path) !== undefined || this.#topics.has(path.toLowerCase())
  }

  /** Puts a message into a queue, or into every subscription of a topic. */
  send(path: string, message: Message): void {
    for (const one of this.#topics.get(path.toLowerCase()) ?? [path]) this.at(one)?.enqueue(message)
  }

  /** Whether what is sent there has to name a session. */
  wantsSession(path: string): boolean {
    return (this.#topics.get(path.toLowerCase()) ?? [path]).some(one => this.at(one)?.options.sessions)
  }

  all(): Entity[] {
    return [...this.#entities.values()]
  }

  #add(path: string, options: EntityOptions): void {
    const dead = new Entity(`${path}/$DeadLetterQueue`, {
      ...options,
      sessions: false,
      maxDeliveryCount: Number.POSITIVE_INFINITY,
    })
    this.#entities.set(path.toLowerCase(), new Entity(path, options, dead))
  }
}
