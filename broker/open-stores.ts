import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TriggerId } from '../contract/ids.ts'
import type { BrokerRoute } from '../contract/routes.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { BrokerConfig } from './config.ts'
import type { OpenJournal, Recorder } from './journal.ts'
import type { EventStore } from './store.ts'
import { openMemoryStore } from './stores/memory.ts'

/** A store with what belongs to it. */
export interface OpenStore {
  readonly store: EventStore
  readonly recorder: Recorder
  /** What is in it is there for the next process too. */
  readonly outlives: boolean
}

export interface StoreDeps {
  readonly config: BrokerConfig
  readonly clock: Clock
  readonly log: Log
  readonly journal: OpenJournal
  readonly onDue: (trigger: TriggerId) => void
  readonly onFailure: (error: Error) => void
}

/** The stores of one process: at most one of each kind, opened when it is first needed. */
export class Stores implements AsyncDisposable {
  readonly #deps: StoreDeps
  readonly #open = new Map<BrokerRoute['store'], Promise<OpenStore>>()
  readonly #closing = new AsyncDisposableStack()

  constructor(deps: StoreDeps) {
    this.#deps = deps
  }

  /** @throws what the store throws when its folder cannot be used. */
  for(kind: BrokerRoute['store']): Promise<OpenStore> {
    const wanted = this.#deps.config.memory ? 'memory' : kind
    let opening = this.#open.get(wanted)
    if (opening === undefined) {
      opening = this.#openOne(wanted)
      this.#open.set(wanted, opening)
    }
    return opening
  }

  async all(): Promise<readonly OpenStore[]> {
    return Promise.all(this.#open.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closing.disposeAsync()
  }

  async #openOne(kind: BrokerRoute['store']): Promise<OpenStore> {
    const { config, clock, journal } = this.#deps
    const store = this.#closing.use(kind === 'memory' ? openMemoryStore(clock) : await this.#openDurable())
    store.onDue(this.#deps.onDue)
    store.onFailure(this.#deps.onFailure)
    return { store, recorder: journal.recorder(), outlives: kind === 'durable' && config.dataDir !== undefined }
  }

  async #openDurable(): Promise<EventStore> {
    const { config, clock, log } = this.#deps
    const { dataDir, retentionMs, retentionMaxBytes } = config
    const dir = dataDir ?? (await mkdtemp(join(tmpdir(), 'weir-')))
    if (dataDir === undefined) this.#closing.defer(() => rm(dir, { recursive: true, force: true }))
    const { openSqliteStore } = await import('./stores/sqlite.ts')
    return openSqliteStore({ dir, clock, log, retentionMs, retentionMaxBytes })
  }
}
