import { workloadId } from '../contract/ids.ts'
import type { Target } from '../contract/routes.ts'
import { type BindingResource, isDeployments, isSubject } from '../crds/bindings.ts'
import type { Condition } from '../crds/resource.ts'
import type { SinkBindingResource } from '../crds/sink-binding.ts'
import { commonStatus, isFalse, isTrue, withReady } from './conditions.ts'
import { resolve } from './resolve.ts'
import type { BindingFacts, BoundWorkload, Reach, Status } from './world.ts'

export interface BindingPlan {
  /** Undefined while the sink leads nowhere: what was bound before stays as it is, as in Knative. */
  readonly bound: BoundWorkload | undefined
  /** By `resourceKey`. */
  readonly status: Status
}

/** What one binding tells its workloads, and what to tell of it. Pure. */
export function planBinding(facts: BindingFacts): BindingPlan {
  const { binding, reach } = facts
  const sink = resolve(binding.spec.sink, facts)
  const resolved = sink.kind === 'resolved'
  const { namespace, name } = binding.metadata
  const bound = resolved
    ? { id: workloadId(binding.kind, namespace, name), binding, env: environment(binding, sink.target, reach) }
    : undefined
  const provided = resolved ? undefined : sink.reason
  const audience = resolved ? sink.target.trust?.audience : undefined
  const notices =
    audience === undefined ? [] : [`its processes get no token for ${audience}: they must bring their own`]
  return {
    bound,
    status: {
      conditions: withReady(
        binding.kind === 'SinkBinding' ? ofBinding(binding, provided, facts) : ofContainer(provided),
      ),
      extra: {
        ...(bound !== undefined && { sinkUri: bound.env.K_SINK }),
        ...(audience !== undefined && { sinkAudience: audience }),
        ...commonStatus(binding, notices),
      },
    },
  }
}

/** As Knative's SinkBinding runtime contract has it: `K_SINK` without a slash of ours, `K_CE_OVERRIDES` as JSON or empty. */
function environment(
  { spec }: BindingResource,
  target: Target,
  reach: Reach | undefined,
): Readonly<Record<string, string>> {
  const { extensions } = spec
  const caCerts = target.trust?.caCerts
  return {
    K_SINK: reach?.(target) ?? target.address,
    K_CE_OVERRIDES: Object.keys(extensions).length === 0 ? '' : JSON.stringify({ extensions }),
    ...(caCerts !== undefined && { K_CA_CERTS: caCerts }),
  }
}

function ofBinding(binding: SinkBindingResource, why: string | undefined, { deployments }: BindingFacts): Condition[] {
  const { subject } = binding.spec
  const { namespace } = binding.metadata
  const found = deployments.some(one => isSubject(subject, namespace, one))
  const provided = why === undefined ? isTrue('SinkProvided') : isFalse('SinkProvided', 'NotFound', why)
  if (!isDeployments(subject)) {
    const kind = `a ${subject.kind} (${subject.apiVersion})`
    return [
      provided,
      isFalse('SinkBindingAvailable', 'SubjectUnsupported', `${kind} is not bound: only Deployments are`),
    ]
  }
  if (!found) {
    const what = subject.name === undefined ? 'whose labels fit the selector' : `${namespace}/${subject.name}`
    return [provided, isFalse('SinkBindingAvailable', 'SubjectMissing', `there is no Deployment ${what}`)]
  }
  return [provided, isTrue('SinkBindingAvailable')]
}

function ofContainer(why: string | undefined): Condition[] {
  return why === undefined
    ? [isTrue('SinkBindingReady'), isTrue('ReceiveAdapterReady')]
    : [
        isFalse('SinkBindingReady', 'NotFound', why),
        isFalse('ReceiveAdapterReady', 'NotDeployed', 'it does not run until the sink is there'),
      ]
}
