import type { Worker } from 'node:worker_threads'
import { StoreFailedError } from '../../store.ts'
import { startThread } from '../../thread.ts'
import type { Opened, OpenProblem, Reply, Request } from './protocol.ts'

/** The store cannot be opened, and nothing was changed: someone else has it, its format is not ours, or it is damaged. */
export class StoreOpenError extends Error {
  override readonly name = 'StoreOpenError'
  readonly code: OpenProblem
  constructor(code: OpenProblem, message: string) {
    super(message)
    this.code = code
  }
}

/** The way to the thread that owns the database. Its end, unless asked for, is a failure of the store. */
export class Link {
  readonly #worker: Worker
  readonly #exited: Promise<unknown>
  #onReply: (reply: Reply) => void = () => {}
  #onFailure: (error: StoreFailedError) => void = () => {}
  #ended = false

  private constructor(dir: string) {
    this.#worker = startThread('weir-store', new URL('./worker', import.meta.url), dir)
    this.#exited = new Promise(resolve => this.#worker.once('exit', resolve))
    this.#worker.on('message', (reply: Reply) => {
      // Its last word: the end of the thread, which may follow before anybody has heard it, is no failure any more.
      if (reply.kind === 'closed') this.#ended = true
      if (reply.kind === 'failed') this.#fail(new StoreFailedError(reply.message))
      else this.#onReply(reply)
    })
    this.#worker.on('error', cause => this.#fail(new StoreFailedError('The thread of the store crashed.', { cause })))
    this.#worker.on('exit', code => this.#fail(new StoreFailedError(`The thread of the store ended with ${code}.`)))
  }

  /** @throws {StoreOpenError} */
  static async open(dir: string): Promise<{ readonly link: Link; readonly opened: Opened }> {
    const link = new Link(dir)
    try {
      const first = await new Promise<Reply>((resolve, reject) => link.listen(resolve, reject))
      if (first.kind === 'opened') return { link, opened: first }
      const refused = first.kind === 'refused' ? first : undefined
      throw new StoreOpenError(refused?.code ?? 'store-unusable', refused?.message ?? `unexpected reply ${first.kind}`)
    } catch (error) {
      link.#ended = true
      await link.#exited
      throw error
    }
  }

  listen(onReply: (reply: Reply) => void, onFailure: (error: StoreFailedError) => void): void {
    this.#onReply = onReply
    this.#onFailure = onFailure
  }

  post(request: Request, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer)
  }

  /** The thread is about to end, and that is no failure. Resolves when it did. */
  async end(): Promise<void> {
    this.#ended = true
    await this.#exited
  }

  #fail(error: StoreFailedError): void {
    if (this.#ended) return
    this.#ended = true
    this.#onFailure(error)
  }
}
