import { brokerId } from '../contract/ids.ts'
import type { BrokerRoute, Quota } from '../contract/routes.ts'
import { readKnobs, readQuota } from '../crds/annotations.ts'
import { BROKER_CLASS_ANNOTATION, type BrokerResource } from '../crds/broker.ts'
import { type Condition, resourceKey } from '../crds/resource.ts'
import { commonStatus, isFalse, isTrue, withReady } from './conditions.ts'
import { type AccessPlan, planAccess } from './plan-access.ts'
import { planTrigger } from './plan-trigger.ts'
import { addressFields, resolve } from './resolve.ts'
import type { BrokerFacts, Status } from './world.ts'

export const BROKER_CLASS = 'Weir'

export interface BrokerPlan {
  /** Undefined: this Broker is another implementation's, and so are its Triggers and their statuses. */
  readonly route: BrokerRoute | undefined
  /** By `resourceKey`: the Broker's and its Triggers'. */
  readonly statuses: Readonly<Record<string, Status>>
}

export interface BrokerPlanOptions {
  readonly servesEveryClass: boolean
  /** Conditions about scaling, which others decide, by `resourceKey`. */
  readonly scaling: (key: string) => readonly Condition[]
}

/**
 * The routes of one Broker and what to tell about it and its Triggers. Pure.
 *
 * A Broker of class Weir is Ready by IngressReady, FilterReady, Addressable and DeadLetterSinkResolved: it has no channel,
 * so Knative's TriggerChannelReady is left out. EventPoliciesReady counts too.
 */
export function planBroker(facts: BrokerFacts, options: BrokerPlanOptions): BrokerPlan {
  const { broker } = facts
  const foreign = foreignClass(broker)
  if (foreign !== undefined && !options.servesEveryClass) return { route: undefined, statuses: {} }

  const knobs = readKnobs(broker.metadata)
  const access = planAccess(facts)
  const own = brokerStatus(facts, access, foreign)
  const ready = own.conditions[0] ?? isFalse('Ready', 'BrokerNotConfigured', 'the Broker has no status yet')
  const plans = facts.triggers.map(trigger => ({
    key: resourceKey(trigger),
    ...planTrigger(trigger, ready, facts, options.scaling(resourceKey(trigger))),
  }))
  return {
    route: {
      id: brokerId(broker.metadata.namespace, broker.metadata.name),
      uid: broker.metadata.uid ?? resourceKey(broker),
      store: knobs.store,
      dedupMs: knobs.dedupMs,
      access: access.access,
      quota: quotaOf(facts),
      triggers: plans.map(plan => plan.route),
    },
    statuses: {
      [resourceKey(broker)]: own,
      ...Object.fromEntries(plans.map(plan => [plan.key, plan.status])),
    },
  }
}

/** Undefined where the Namespace sets no limit. */
function quotaOf({ namespace }: BrokerFacts): Quota | undefined {
  if (namespace === undefined) return undefined
  const { eventsPerSecond, bytesPerSecond, backlog } = readQuota(namespace.metadata)
  const asked = eventsPerSecond !== undefined || bytesPerSecond !== undefined || backlog !== undefined
  return asked ? { eventsPerSecond, bytesPerSecond, backlog } : undefined
}

function brokerStatus(facts: BrokerFacts, access: AccessPlan, foreign: string | undefined): Status {
  const { broker } = facts
  const { mistakes } = readKnobs(broker.metadata)
  const url = facts.brokerAddress(brokerId(broker.metadata.namespace, broker.metadata.name))
  const sink = broker.spec.delivery?.deadLetterSink
  const resolved = sink === undefined ? undefined : resolve(sink, facts)
  const quota = facts.namespace === undefined ? [] : readQuota(facts.namespace.metadata).mistakes
  const notices = [...mistakes, ...quota, ...access.notices]
  if (foreign !== undefined) notices.push(`class ${foreign} is another implementation's; here Weir serves it`)
  return {
    conditions: withReady([
      isTrue('IngressReady'),
      isTrue('FilterReady'),
      url === undefined ? isFalse('Addressable', 'NoAddress', 'no broker listens yet') : isTrue('Addressable'),
      resolved === undefined
        ? isTrue('DeadLetterSinkResolved', 'DeadLetterSinkNotConfigured', 'No dead letter sink is configured.')
        : resolved.kind === 'resolved'
          ? isTrue('DeadLetterSinkResolved')
          : isFalse('DeadLetterSinkResolved', "Unable to get the dead letter sink's URI", resolved.reason),
      access.condition,
    ]),
    extra: {
      ...(url !== undefined && {
        address: { url, ...(access.access !== undefined && { audience: access.access.audience }) },
      }),
      ...(access.policies.length > 0 && { policies: access.policies }),
      ...addressFields('deadLetterSink', resolved),
      ...commonStatus(broker, notices),
    },
  }
}

function foreignClass(broker: BrokerResource): string | undefined {
  const named = broker.metadata.annotations[BROKER_CLASS_ANNOTATION]
  return named === undefined || named === BROKER_CLASS ? undefined : named
}
