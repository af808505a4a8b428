import type { AdapterState } from '../adapters/adapter.ts'
import type { Credential } from '../adapters/http-sink.ts'
import type { SinkJob } from '../adapters/registry.ts'
import type { TokenSource } from '../contract/tokens.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Door } from '../runtime/door.ts'
import type { Log } from '../runtime/log.ts'
import type { EventSink, SinkDeps, SinkSpec } from '../sinks/sink.ts'
import type { AdapterWorkload, SinkPlace, SinkWorkload } from '../trigger-controller/world.ts'

export interface UpstreamDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  /** For sinks that want a token. */
  readonly tokens: TokenSource
  /** For what others send to us. */
  readonly door: () => Promise<Door>
}

/** Runs the adapter of a source in this process until `signal` aborts and it has drained. Its code loads with the first one. */
export async function runSource(
  workload: AdapterWorkload,
  report: (state: AdapterState) => void,
  deps: UpstreamDeps,
  signal: AbortSignal,
): Promise<void> {
  const { runAdapter } = await import('../adapters/registry.ts')
  const { clock, random, log, tokens, door } = deps
  const { source, credentials, sink, deadLetterSink } = workload
  const job = {
    source,
    credentials,
    sink: { ...sinkOf(sink, tokens), takesBatches: sink.takesBatches },
    deadLetterSink: deadLetterSink && sinkOf(deadLetterSink, tokens),
  }
  await runAdapter(job, { clock, random, log, report, door }, signal)
}

/** Opens the way out of one sink. Its code loads with the first one. @throws where settings or credentials cannot be right. */
export async function openSinkOf(spec: SinkSpec<SinkWorkload['sink']>, deps: SinkDeps): Promise<EventSink> {
  const { openSink } = await import('../sinks/registry.ts')
  return await openSink(spec, deps)
}

function sinkOf({ url, token }: SinkPlace, tokens: TokenSource): SinkJob {
  if (token === undefined) return { url }
  const { audience, subject } = token
  const credential: Credential = {
    token: () => tokens.token(audience, subject),
    refresh: () => tokens.refresh(audience, subject),
  }
  return { url, credential }
}
