import { readFileSync, statSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import { LRUCache } from 'lru-cache'
import { CertificatesError, certificatesIn } from '../runtime/certificates.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'

/** Making one takes ten milliseconds and some memory. */
const CONTEXTS_MAX = 100
/** The file is looked at again after this. */
const LOOK_MS = 10_000

/** Certificates of authorities that cannot be used. The message says where and why. */
export class AuthoritiesError extends Error {
  readonly code = 'AUTHORITIES_UNUSABLE'
}

/**
 * Whom TLS connections of the broker trust: the system's authorities and Node's, those of a file that an administrator
 * keeps, and those that a sink brings (Knative's `CACerts`).
 */
export class Authorities {
  readonly #clock: Clock
  readonly #log: Log
  readonly #file: string | undefined
  readonly #contexts = new LRUCache<string, SecureContext>({ max: CONTEXTS_MAX })
  #system: readonly string[] | undefined
  #bundle: readonly string[] = []
  #version = ''
  #lookedMs: number

  /** @throws {AuthoritiesError} `file` cannot be read, or holds no certificates. */
  constructor(clock: Clock, log: Log, file: string | undefined) {
    this.#clock = clock
    this.#log = log
    this.#file = file
    this.#lookedMs = clock.monotonicMs()
    if (file !== undefined) this.#read(file)
  }

  /**
   * What a connection is made with. Another one as soon as the file is another.
   * @param caCerts PEM of the sink's own authorities.
   * @throws {AuthoritiesError} `caCerts` holds no certificates.
   */
  contextFor(caCerts: string | undefined): SecureContext {
    this.#look()
    const key = caCerts ?? ''
    let context = this.#contexts.get(key)
    if (context === undefined) {
      const own = caCerts === undefined ? [] : certificatesOf(caCerts, 'the CACerts of the sink')
      this.#system ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
      context = createSecureContext({ ca: [...this.#system, ...this.#bundle, ...own], minVersion: 'TLSv1.2' })
      this.#contexts.set(key, context)
    }
    return context
  }

  /** Certificates are renewed while the process runs. One that is half written is left alone until it is whole. */
  #look(): void {
    const nowMs = this.#clock.monotonicMs()
    if (this.#file === undefined || nowMs - this.#lookedMs < LOOK_MS) return
    this.#lookedMs = nowMs
    try {
      this.#read(this.#file)
    } catch (error) {
      this.#log.error({ file: this.#file, error }, 'certificates cannot be read: the last ones stay trusted')
    }
  }

  #read(file: string): void {
    try {
      const { mtimeMs, size, ino } = statSync(file)
      const version = `${mtimeMs} ${size} ${ino}`
      if (version === this.#version) return
      this.#bundle = certificatesOf(readFileSync(file, 'utf8'), file)
      this.#version = version
      this.#contexts.clear()
    } catch (error) {
      if (error instanceof AuthoritiesError) throw error
      throw new AuthoritiesError(`${file} cannot be read`, { cause: error })
    }
  }
}

/** @throws {AuthoritiesError} there is none, or one is damaged. */
function certificatesOf(pem: string, where: string): readonly string[] {
  try {
    return certificatesIn(pem)
  } catch (error) {
    if (!(error instanceof CertificatesError)) throw error
    throw new AuthoritiesError(`${where}: ${error.message}`, { cause: error.cause })
  }
}
