import type { Access, AccessPolicy } from '../contract/routes.ts'
import type { BrokerResource } from '../crds/broker.ts'
import { type EventPolicyResource, protects } from '../crds/event-policy.ts'
import { type Condition, type Reference, resourceKey } from '../crds/resource.ts'
import { commonStatus, isFalse, isTrue, withReady } from './conditions.ts'
import { brokerAudience, type Identified, subjectOf } from './identity.ts'
import { NOTHING, planFilterSpecs } from './plan-filters.ts'
import type { PolicyFacts, Status } from './world.ts'

/** What decides who may send to a Broker, and what is told about it. */
export interface AccessPlan {
  /** Undefined: OIDC is off, and anybody may send. */
  readonly access: Access | undefined
  /** `EventPoliciesReady`. */
  readonly condition: Condition
  /** `status.policies` of the Broker: those that are ready, as Knative lists them. */
  readonly policies: readonly { readonly apiVersion: string; readonly name: string }[]
  readonly notices: readonly string[]
}

export interface AccessFacts extends Omit<PolicyFacts, 'policy'> {
  readonly broker: BrokerResource
  /** Of the Broker's namespace. */
  readonly policies: readonly EventPolicyResource[]
}

/**
 * Who may send to one Broker (Knative's EventPolicy). Pure. Policies count in the order of their names.
 *
 * A policy that is not ready makes the Broker not ready, as in Knative, and still counts with the subjects that are known:
 * were it left out, the default mode could let in those whom it was written to keep out.
 */
export function planAccess(facts: AccessFacts): AccessPlan {
  const { broker, features } = facts
  const protecting = facts.policies
    .filter(policy => protects(policy, broker))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  if (!features.oidc) return open(protecting)

  const judged = protecting.map(policy => ({ policy, ...judge(policy, facts) }))
  const { namespace, name } = broker.metadata
  const unready = judged.filter(({ faults }) => faults.length > 0).map(({ policy }) => policy.metadata.name)
  return {
    access: {
      audience: brokerAudience(namespace, name),
      policies: judged.map(({ route }) => route),
      otherwise: features.authorization,
    },
    condition:
      unready.length > 0
        ? isFalse('EventPoliciesReady', 'EventPoliciesNotReady', `event policies ${unready.join(', ')} are not ready`)
        : judged.length > 0
          ? isTrue('EventPoliciesReady')
          : isTrue(
              'EventPoliciesReady',
              'DefaultAuthorizationMode',
              `no EventPolicy protects it, so the default holds: ${features.authorization}`,
            ),
    policies: judged
      .filter(({ faults }) => faults.length === 0)
      .map(({ policy }) => ({ apiVersion: policy.apiVersion, name: policy.metadata.name })),
    notices: [],
  }
}

/** What is told of a policy itself, which it has whether or not something is protected by it. Pure. */
export function planPolicy(facts: PolicyFacts): Status {
  const { policy, features } = facts
  const { route, faults, hints } = judge(policy, facts)
  const unresolved = faults.filter(one => one.kind === 'subject').map(one => one.words)
  const broken = faults.filter(one => one.kind === 'filter').map(one => one.words)
  return {
    conditions: withReady([
      features.oidc
        ? isTrue('AuthenticationEnabled')
        : isFalse('AuthenticationEnabled', 'OIDCAuthenticationDisabled', `it does nothing: ${HOW_TO_SWITCH_ON}`),
      unresolved.length === 0
        ? isTrue('SubjectsResolved')
        : isFalse('SubjectsResolved', 'SubjectsNotResolved', unresolved.join('; ')),
      // Knative's admission refuses such a policy; a file is not admitted by anybody.
      ...(broken.length === 0 ? [] : [isFalse('FiltersCompiled', 'FilterInvalid', broken.join('; '))]),
    ]),
    extra: {
      ...(route.subjects.length > 0 && { from: route.subjects }),
      ...commonStatus(policy, hints),
    },
  }
}

const HOW_TO_SWITCH_ON =
  'OIDC is off, so nobody who sends is known; switch `authentication-oidc` on in the ConfigMap knative-eventing/config-features'

/** Without OIDC nobody can be told apart. A policy that is not enforced must not look as if it were. */
function open(protecting: readonly EventPolicyResource[]): AccessPlan {
  const names = protecting.map(policy => policy.metadata.name).join(', ')
  return {
    access: undefined,
    condition: isTrue(
      'EventPoliciesReady',
      'OIDCDisabled',
      'feature authentication-oidc must be enabled for authorization',
    ),
    policies: [],
    notices: protecting.length === 0 ? [] : [`anybody may send: EventPolicy ${names} is not enforced, as OIDC is off`],
  }
}

interface Judged {
  readonly route: AccessPolicy
  readonly faults: readonly { readonly kind: 'subject' | 'filter'; readonly words: string }[]
  /** Nothing is broken, but it may not be what was meant. */
  readonly hints: readonly string[]
}

function judge(policy: EventPolicyResource, { senders }: Pick<PolicyFacts, 'senders'>): Judged {
  const subjects: string[] = []
  const faults: Judged['faults'][number][] = []
  for (const [i, sender] of policy.spec.from.entries()) {
    const found = 'sub' in sender ? sender.sub : resolveSubject(sender.ref, senders)
    if (found !== undefined) subjects.push(found)
    else if ('ref' in sender) faults.push({ kind: 'subject', words: `spec.from[${i}].ref: ${unresolved(sender.ref)}` })
  }
  const planned = planFilterSpecs(policy.spec.filters)
  if (planned.kind === 'invalid') faults.push({ kind: 'filter', words: planned.reason })
  const filters = planned.kind === 'filters' ? planned.filters : NOTHING
  return { route: { name: resourceKey(policy), subjects, filters }, faults, hints: planned.hints }
}

function resolveSubject(ref: Reference, senders: readonly Identified[]): string | undefined {
  const sender = senders.find(
    ({ kind, metadata }) => kind === ref.kind && metadata.name === ref.name && metadata.namespace === ref.namespace,
  )
  return sender && subjectOf(sender)
}

function unresolved({ kind, namespace, name }: Reference): string {
  return `there is no ${kind} ${namespace}/${name} with an identity; a source or a Trigger has one, anybody else is named by \`sub\``
}
