import { triggerId, workloadId } from '../contract/ids.ts'
import type { CircuitPolicy, Target, TriggerRoute } from '../contract/routes.ts'
import { type Knobs, readKnobs } from '../crds/annotations.ts'
import { type Condition, resourceKey } from '../crds/resource.ts'
import type { TriggerResource } from '../crds/trigger.ts'
import { commonStatus, isFalse, isTrue, isUnknown, withReady } from './conditions.ts'
import { describeDefault, mergeDelivery } from './delivery-policy.ts'
import { serviceAccountName, subjectOf } from './identity.ts'
import { NOTHING, type PlannedFilters, planFilterSpecs, withDataFilter } from './plan-filters.ts'
import { BATCH, CIRCUIT, CONCURRENCY_PER_ADDRESS, CONCURRENCY_PER_REPLICA } from './profile.ts'
import { addressFields, type Resolved, resolve } from './resolve.ts'
import type { BrokerFacts, Status } from './world.ts'

export interface TriggerPlan {
  readonly route: TriggerRoute
  readonly status: Status
}

/**
 * One Trigger's route and status. Pure. The route is there even while the Trigger is not Ready: leaving it out would drop
 * what its queue holds. Events for an address that cannot be resolved wait for one; see `holding`.
 */
export function planTrigger(
  trigger: TriggerResource,
  brokerReady: Condition,
  facts: BrokerFacts,
  scaling: readonly Condition[],
): TriggerPlan {
  const knobs = readKnobs(trigger.metadata)
  const brokerKnobs = readKnobs(facts.broker.metadata)
  const backoffMaxMs = knobs.backoffMaxMs ?? brokerKnobs.backoffMaxMs
  const delivery = mergeDelivery(trigger.spec.delivery, facts.broker.spec.delivery, backoffMaxMs)
  const subscriber = resolve(trigger.spec.subscriber, facts)
  const deadLetter = delivery.deadLetterSink === undefined ? undefined : resolve(delivery.deadLetterSink, facts)
  const filters = withDataFilter(planFilters(trigger), knobs.filterData)

  const target = targetOf(subscriber, trigger)
  const perTarget = target.kind === 'workload' ? CONCURRENCY_PER_REPLICA : CONCURRENCY_PER_ADDRESS
  const subscribed = delivery.isDefault
    ? isTrue('SubscriptionReady', 'DefaultDelivery', describeDefault(delivery.policy))
    : isTrue('SubscriptionReady')
  return {
    route: {
      id: triggerId(trigger.metadata.namespace, trigger.metadata.name),
      uid: trigger.metadata.uid ?? resourceKey(trigger),
      filters: filters.kind === 'filters' ? filters.filters : NOTHING,
      subscriber: target,
      deadLetter: deadLetter === undefined ? undefined : targetOf(deadLetter, trigger),
      delivery: delivery.policy,
      concurrency: knobs.concurrency ?? perTarget,
      reply: knobs.reply,
      order: knobs.order,
      batch: knobs.batch && {
        maxEvents: knobs.batch.maxEvents ?? BATCH.maxEvents,
        maxWaitMs: knobs.batch.maxWaitMs ?? BATCH.maxWaitMs,
        maxBytes: knobs.batch.maxBytes ?? BATCH.maxBytes,
      },
      limits: {
        total: knobs.concurrencyTotal,
        perSecond: knobs.ratePerSecond,
        adaptive: knobs.adaptive,
        circuit: circuitOf(knobs),
      },
      paused: knobs.paused,
      dedupMs: knobs.dedupMs,
      deliverAfter: knobs.deliverAfter,
      expiry: knobs.expiry,
      start: knobs.start,
    },
    status: {
      conditions: withReady(
        [
          brokerReadyOf(brokerReady),
          filters.kind === 'filters' ? subscribed : isFalse('SubscriptionReady', 'FilterInvalid', filters.reason),
          dependencyReady(trigger),
          subscriberResolved(subscriber),
          deadLetterResolved(deadLetter),
          facts.features.oidc
            ? isTrue('OIDCIdentityCreated')
            : isTrue('OIDCIdentityCreated', 'authentication-oidc feature disabled'),
        ],
        scaling,
      ),
      extra: {
        ...(facts.features.oidc && { auth: { serviceAccountName: serviceAccountName(trigger) } }),
        ...addressFields('subscriber', subscriber),
        ...addressFields('deadLetterSink', deadLetter),
        ...commonStatus(trigger, [...knobs.mistakes, ...filters.hints]),
      },
    },
  }
}

/** Either annotation asks for the circuit; the other takes its default. */
function circuitOf({ circuitFailures, circuitWaitMs }: Knobs): CircuitPolicy | undefined {
  if (circuitFailures === undefined && circuitWaitMs === undefined) return undefined
  return { failures: circuitFailures ?? CIRCUIT.failures, waitMs: circuitWaitMs ?? CIRCUIT.waitMs }
}

/** What is told of a Trigger whose Broker is not there; the rest cannot be known, as in Knative. */
export function orphanStatus(trigger: TriggerResource): Status {
  const { namespace } = trigger.metadata
  const rest = [
    'SubscriptionReady',
    'DependencyReady',
    'SubscriberResolved',
    'DeadLetterSinkResolved',
    'OIDCIdentityCreated',
  ]
  const missing = isFalse(
    'BrokerReady',
    'BrokerDoesNotExist',
    `Broker ${namespace}/${trigger.spec.broker} does not exist`,
  )
  return {
    conditions: withReady([
      missing,
      ...rest.map(type => isUnknown(type, 'BrokerDoesNotExist', 'waits for the Broker')),
    ]),
    extra: commonStatus(trigger, []),
  }
}

/** `filters` where it has entries, the older `filter` otherwise (Knative Trigger spec, precedence of filters). */
function planFilters(trigger: TriggerResource): PlannedFilters {
  const { filters, filter } = trigger.spec
  if (filters.length === 0) {
    const attributes = filter?.attributes ?? {}
    const older = Object.keys(attributes).length === 0 ? [] : [{ attributes }]
    return { kind: 'filters', filters: older, hints: [] }
  }
  return planFilterSpecs(filters)
}

/** With whom the token speaks for, where one is sent. */
function targetOf(resolved: Resolved, trigger: TriggerResource): Target {
  if (resolved.kind !== 'resolved') return holding(trigger)
  const { target } = resolved
  if (target.trust?.audience === undefined) return target
  return { ...target, trust: { ...target.trust, subject: subjectOf(trigger) } }
}

/** A workload that never has a replica: events for it wait, and no attempt is burned until there is an address. */
function holding(trigger: TriggerResource): Target {
  const { namespace, name } = trigger.metadata
  return { kind: 'workload', address: '', workload: workloadId('unresolved', namespace, name), path: '/' }
}

function brokerReadyOf(ready: Condition): Condition {
  return { ...ready, type: 'BrokerReady' }
}

function subscriberResolved(resolved: Resolved): Condition {
  return resolved.kind === 'resolved'
    ? isTrue('SubscriberResolved')
    : isFalse('SubscriberResolved', "Unable to get the Subscriber's URI", resolved.reason)
}

function deadLetterResolved(resolved: Resolved | undefined): Condition {
  if (resolved === undefined) {
    return isTrue('DeadLetterSinkResolved', 'DeadLetterSinkNotConfigured', 'Events whose attempts are over are parked.')
  }
  return resolved.kind === 'resolved'
    ? isTrue('DeadLetterSinkResolved')
    : isFalse('DeadLetterSinkResolved', "Unable to get the dead letter sink's URI", resolved.reason)
}

function dependencyReady(trigger: TriggerResource): Condition {
  const dependency = trigger.metadata.annotations['knative.dev/dependency']
  return dependency === undefined
    ? isTrue('DependencyReady')
    : isTrue('DependencyReady', 'DependencyNotWatched', `events flow without waiting for ${dependency}`)
}
