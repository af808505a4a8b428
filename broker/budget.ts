import assert from 'node:assert/strict'

/** Bytes that may be in memory at once for one purpose. */
export class Budget {
  readonly #maxBytes: number
  #usedBytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** True while nothing more fits. */
  get spent(): boolean {
    return this.#usedBytes >= this.#maxBytes
  }

  /** Whether `bytes` would be taken now. */
  fits(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.#maxBytes || this.#usedBytes === 0
  }

  /** Takes `bytes` if they fit; a single thing larger than the whole budget fits while nothing else is held. */
  take(bytes: number): boolean {
    if (!this.fits(bytes)) return false
    this.#usedBytes += bytes
    return true
  }

  /** Takes `bytes` whether they fit or not, for what is in memory already. */
  force(bytes: number): void {
    this.#usedBytes += bytes
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes
    assert(this.#usedBytes >= 0, 'more bytes were given back than taken')
  }
}
