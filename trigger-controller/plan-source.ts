import { type Condition, resourceKey } from '../crds/resource.ts'
import { sourceWorkload } from './autoscaler/claims.ts'
import { commonStatus, isFalse, isTrue, withReady } from './conditions.ts'
import { serviceAccountName, subjectOf } from './identity.ts'
import { addressFields, type Resolved, resolve } from './resolve.ts'
import { upstreamOfSource } from './upstream.ts'
import type { AdapterWorkload, SinkPlace, SourceFacts, Status } from './world.ts'

export interface SourcePlan {
  /** Undefined while something that it needs is missing: an adapter without a sink would only hold messages up. */
  readonly adapter: AdapterWorkload | undefined
  /** By `resourceKey`. */
  readonly status: Status
}

/**
 * The adapter of one source and what to tell of it. Pure. Ready by SinkProvided, CredentialsResolved and Deployed; whether
 * the adapter reaches its upstream is the adapter's own word, which the world adds.
 */
export function planSource(facts: SourceFacts, scaling: readonly Condition[]): SourcePlan {
  const { source } = facts
  const { sink: destination, delivery } = source.spec
  const sink = resolve(destination, facts)
  const deadLetter = delivery?.deadLetterSink && resolve(delivery.deadLetterSink, facts)
  const upstream = upstreamOfSource(source, facts.secretValue)
  const audience = sink.kind === 'resolved' ? sink.target.trust?.audience : undefined
  const runs = sink.kind === 'resolved' && upstream.kind === 'known' && deadLetter?.kind !== 'unresolved'
  return {
    adapter: runs
      ? {
          id: sourceWorkload(source),
          source,
          sink: { ...placeOf(sink, facts), takesBatches: destination.ref?.kind === 'Broker' },
          deadLetterSink: deadLetter && placeOf(deadLetter, facts),
          credentials: upstream.credentials,
        }
      : undefined,
    status: {
      conditions: withReady(
        [
          sink.kind === 'resolved' ? isTrue('SinkProvided') : isFalse('SinkProvided', 'NotFound', sink.reason),
          ...(deadLetter === undefined
            ? []
            : [
                deadLetter.kind === 'resolved'
                  ? isTrue('DeadLetterSinkResolved')
                  : isFalse('DeadLetterSinkResolved', 'NotFound', deadLetter.reason),
              ]),
          upstream.kind === 'known'
            ? isTrue('CredentialsResolved')
            : isFalse('CredentialsResolved', 'SecretNotFound', upstream.reason),
          runs
            ? isTrue('Deployed')
            : isFalse('Deployed', 'NotDeployed', `${resourceKey(source)} does not run until the above is mended`),
        ],
        scaling,
      ),
      extra: {
        ...(facts.features.oidc && { auth: { serviceAccountName: serviceAccountName(source) } }),
        ...(sink.kind === 'resolved' && { sinkUri: placeOf(sink, facts).url }),
        ...(facts.address !== undefined && { address: { url: facts.address } }),
        ...addressFields('deadLetterSink', deadLetter),
        ...(audience !== undefined && { sinkAudience: audience }),
        ...commonStatus(source, []),
      },
    },
  }
}

function placeOf(
  { target }: Extract<Resolved, { kind: 'resolved' }>,
  { source, reach }: Pick<SourceFacts, 'source' | 'reach'>,
): SinkPlace {
  const audience = target.trust?.audience
  return {
    url: reach?.(target) ?? target.address,
    token: audience === undefined ? undefined : { audience, subject: subjectOf(source) },
  }
}
