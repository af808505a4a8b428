import { type Door, type DoorConfig, openDoor } from '../runtime/door.ts'

export interface LocalDoorConfig extends Omit<DoorConfig, 'port'> {
  /** Chosen when the door is opened. May reject. */
  readonly port: () => Promise<number>
}

/** The one door of a local world, for webhooks, sinks and Services: opened when the first of them needs it. */
export class LocalDoor implements AsyncDisposable {
  readonly #config: LocalDoorConfig
  #opening: Promise<Door> | undefined
  #closed = false

  constructor(config: LocalDoorConfig) {
    this.#config = config
  }

  /** Opens it, or gives what is open. After a failure the next call tries again. @throws the error of `listen`. */
  open(): Promise<Door> {
    if (this.#closed) return Promise.reject(new Error('the door is closed'))
    if (this.#opening !== undefined) return this.#opening
    const opening = this.#open()
    this.#opening = opening
    opening.catch(() => {
      this.#opening = undefined
    })
    return opening
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true
    const door = await this.#opening?.catch(() => undefined)
    await door?.[Symbol.asyncDispose]()
  }

  async #open(): Promise<Door> {
    return await openDoor({ ...this.#config, port: await this.#config.port() })
  }
}
