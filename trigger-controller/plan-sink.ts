import { workloadId } from '../contract/ids.ts'
import { resourceKey } from '../crds/resource.ts'
import { sinkSecretRefs } from '../crds/sinks.ts'
import { commonStatus, isFalse, isTrue, withReady } from './conditions.ts'
import { readCredentials } from './credentials.ts'
import type { Served, SinkFacts, SinkWorkload, Status } from './world.ts'

export interface SinkPlan {
  /** Undefined while something that it needs is missing. */
  readonly workload: SinkWorkload | undefined
  /** Why, in words. */
  readonly missing: string | undefined
}

/** What is to be served for one sink. Pure. */
export function planSink({ sink, secretValue }: SinkFacts): SinkPlan {
  const { namespace, name } = sink.metadata
  const found = readCredentials(sinkSecretRefs(sink), namespace, secretValue)
  if (found.kind === 'missing') return { workload: undefined, missing: found.reason }
  const id = workloadId(sink.kind, namespace, name)
  return { workload: { id, sink, credentials: found.credentials }, missing: undefined }
}

/** What to tell of it. Ready by CredentialsResolved and Addressable, as Knative's sinks have `status.address`. */
export function sinkStatus({ sink }: SinkFacts, { missing }: SinkPlan, served: Served | undefined): Status {
  const addressable =
    served?.kind === 'served'
      ? isTrue('Addressable')
      : isFalse('Addressable', 'NotServed', served?.reason ?? `${resourceKey(sink)} waits for what it needs`)
  return {
    conditions: withReady([
      missing === undefined ? isTrue('CredentialsResolved') : isFalse('CredentialsResolved', 'SecretNotFound', missing),
      addressable,
    ]),
    extra: { ...(served?.kind === 'served' && { address: { url: served.address } }), ...commonStatus(sink, []) },
  }
}
