import type { SourceResource } from '../crds/sources.ts'
import type { AdapterDeps, AdapterState } from './adapter.ts'
import { openEmitter } from './emit.ts'
import { type Credential, type HttpSink, openHttpSink } from './http-sink.ts'

/** Where events go. */
export interface SinkJob {
  readonly url: string
  /** The token that it wants to see. */
  readonly credential?: Credential | undefined
}

/** A source, its credentials by the names in its Secrets, and where its events go. */
export interface AdapterJob {
  readonly source: SourceResource
  readonly credentials: Readonly<Record<string, string>>
  readonly sink: SinkJob & { readonly takesBatches: boolean }
  readonly deadLetterSink?: SinkJob | undefined
}

export type RunDeps = Omit<AdapterDeps, 'emit' | 'emitInOrder'>

/**
 * Runs the adapter of a source with its own way to the sink, and joins what goes wrong on either side into one report.
 * Ends as `RunAdapter` says. The adapter is loaded when its kind is first asked for.
 */
export async function runAdapter(job: AdapterJob, deps: RunDeps, signal: AbortSignal): Promise<void> {
  let own: AdapterState = { ready: false, error: undefined, held: 0, emitted: 0 }
  const troubles = new Map<string, string>()
  const report = () => deps.report({ ...own, error: own.error ?? [...troubles.values()][0] })
  const { clock, random, log } = deps
  const open = ({ url, credential }: SinkJob): HttpSink =>
    openHttpSink(url, {
      clock,
      random,
      log,
      credential,
      onTrouble: reason => {
        if (reason === undefined) troubles.delete(url)
        else troubles.set(url, reason)
        report()
      },
    })
  await using sink = open(job.sink)
  await using deadLetterSink = job.deadLetterSink && open(job.deadLetterSink)
  const { takesBatches } = job.sink
  const { delivery } = job.source.spec
  const inner: AdapterDeps = {
    ...deps,
    ...openEmitter({ sink, takesBatches, deadLetterSink, delivery, random }),
    report: state => {
      own = state
      report()
    },
  }
  await run(job, inner, signal)
}

async function run({ source, credentials }: AdapterJob, deps: AdapterDeps, signal: AbortSignal): Promise<void> {
  switch (source.kind) {
    case 'AzureEventHubsSource': {
      const { runEventHubs } = await import('./azure-event-hubs/run.ts')
      return await runEventHubs({ source, credentials }, deps, signal)
    }
    case 'AzureServiceBusSource': {
      const { runServiceBus } = await import('./azure-service-bus/run.ts')
      return await runServiceBus({ source, credentials }, deps, signal)
    }
    case 'AzureStorageQueueSource': {
      const { runStorageQueue } = await import('./azure-storage-queue/run.ts')
      return await runStorageQueue({ source, credentials }, deps, signal)
    }
    case 'KafkaSource': {
      const { runKafka } = await import('./kafka/run.ts')
      return await runKafka({ source, credentials }, deps, signal)
    }
    case 'PingSource': {
      const { runPing } = await import('./ping/run.ts')
      return await runPing({ source, credentials }, deps, signal)
    }
    case 'RabbitmqSource': {
      const { runRabbitmq } = await import('./rabbitmq/run.ts')
      return await runRabbitmq({ source, credentials }, deps, signal)
    }
    case 'WebhookSource': {
      const { runWebhook } = await import('./webhook/run.ts')
      return await runWebhook({ source, credentials }, deps, signal)
    }
    default:
      return source satisfies never
  }
}
