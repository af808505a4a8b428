import { stat } from 'node:fs/promises'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import { type KeyPair, KeyPairError, readKeyPair, type TlsFiles } from './tls-key-pair.ts'

export interface FollowOptions {
  readonly files: TlsFiles
  /** The one that is used now. */
  readonly pair: KeyPair
  readonly clock: Clock
  readonly log: Log
  /** Called with every other one that can be used. */
  readonly onChange: (pair: KeyPair) => void
}

/** How often the files are looked at. A watch would miss the links that Kubernetes swaps under a mounted Secret. */
export const LOOK_MS = 5000

/**
 * Follows the files of a key pair for as long as it is not disposed of. What cannot be used is left alone, and said once,
 * at the second look: two files are written one after the other.
 */
export function followKeyPair(options: FollowOptions): Disposable {
  const following = new Following(options)
  return { [Symbol.dispose]: () => following.stop() }
}

class Following {
  readonly #options: FollowOptions
  #pair: KeyPair
  /** The state of the files that was tried last; undefined before the first look. */
  #tried: string | undefined
  /** Whether that could not be used, and whether it has been said. */
  #wrong = false
  #said = false
  #saidEnded = false
  #stopped = false
  #cancel: Cancel

  constructor(options: FollowOptions) {
    this.#options = options
    this.#pair = options.pair
    this.#cancel = this.#later()
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #later(): Cancel {
    return this.#options.clock.after(LOOK_MS, () => void this.#look())
  }

  async #look(): Promise<void> {
    const { files, log } = this.#options
    const state = await stateOf(files)
    if (this.#stopped) return
    const isNew = state !== this.#tried
    this.#tried = state
    if (isNew) this.#said = false
    if (isNew || this.#wrong) {
      const wrong = await this.#read()
      this.#wrong = wrong !== undefined
      if (wrong !== undefined && !isNew && !this.#said && !this.#stopped) {
        this.#said = true
        log.error({ error: wrong.message }, 'new TLS certificate cannot be used: the old one stays')
      }
    }
    if (this.#stopped) return
    this.#tellEnded()
    this.#cancel = this.#later()
  }

  /** Takes what the files hold, or tells why not. */
  async #read(): Promise<KeyPairError | undefined> {
    const { files, clock, log, onChange } = this.#options
    try {
      const next = await readKeyPair(files)
      if (this.#stopped || (next.cert.equals(this.#pair.cert) && next.key.equals(this.#pair.key))) return undefined
      const nowMs = clock.nowMs()
      if (next.notAfterMs <= nowMs && this.#pair.notAfterMs > nowMs) {
        return new KeyPairError(files, `it ended on ${new Date(next.notAfterMs).toISOString()}`)
      }
      onChange(next)
      this.#pair = next
      this.#saidEnded = false
      const notAfter = new Date(next.notAfterMs).toISOString()
      log.info({ certFile: files.certFile, fingerprint: next.fingerprint, notAfter }, 'TLS certificate replaced')
      return undefined
    } catch (error) {
      if (error instanceof KeyPairError) return error
      throw error
    }
  }

  #tellEnded(): void {
    const { files, clock, log } = this.#options
    if (this.#saidEnded || this.#pair.notAfterMs > clock.nowMs()) return
    this.#saidEnded = true
    log.error({ certFile: files.certFile }, 'TLS certificate has ended: senders will refuse it until it is renewed')
  }
}

/** Changes with whatever happens to the files or to the links that lead to them. */
async function stateOf({ certFile, keyFile }: TlsFiles): Promise<string> {
  const states = await Promise.all([certFile, keyFile].map(stateOfFile))
  return states.join(' ')
}

async function stateOfFile(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
  }
}
