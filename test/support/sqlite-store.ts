import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventStore } from '../../broker/store.ts'
import { openSqliteStore, type SqliteStoreOptions } from '../../broker/stores/sqlite.ts'
import type { Clock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'

export interface StorePlace extends AsyncDisposable {
  readonly dir: string
  open(clock: Clock, more?: Partial<SqliteStoreOptions>): Promise<EventStore>
}

/** A folder for a durable store, removed at the end of the test. */
export async function storePlace(): Promise<StorePlace> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-store-'))
  return {
    dir,
    open: (clock, more) => openStoreIn(dir, clock, more),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  }
}

export function openStoreIn(dir: string, clock: Clock, more: Partial<SqliteStoreOptions> = {}): Promise<EventStore> {
  return openSqliteStore({ dir, clock, log: silentLog, retentionMs: 3_600_000, retentionMaxBytes: 1 << 30, ...more })
}

/** A log that remembers. */
export function recordingLog() {
  const lines: { readonly level: string; readonly facts: unknown; readonly message: unknown }[] = []
  const at =
    (level: string) =>
    (facts: unknown, message?: unknown): void =>
      void lines.push({ level, facts, message })
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}
