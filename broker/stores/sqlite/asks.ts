import { StoreFailedError } from '../../store.ts'
import type { Answer } from './archive-protocol.ts'

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: StoreFailedError) => void
}

/** Questions to the thread of the database, which answers in their order. */
export class Asks {
  readonly #waiting: Waiting[] = []
  #ended: StoreFailedError | undefined

  /** @param post sends the question, now or later. @throws {StoreFailedError} */
  ask(post: () => void): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      post()
    })
  }

  answered(answer: Answer): void {
    this.#waiting.shift()?.resolve(answer)
  }

  end(error = new StoreFailedError('The store is closed.')): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
