import type { Condition } from '../crds/resource.ts'

export function isTrue(type: string, reason?: string, message?: string): Condition {
  return condition(type, 'True', reason, message)
}

export function isFalse(type: string, reason: string, message: string): Condition {
  return condition(type, 'False', reason, message)
}

export function isUnknown(type: string, reason: string, message: string): Condition {
  return condition(type, 'Unknown', reason, message)
}

/**
 * `Ready` and what it stands on, in Knative's manner: False as soon as one of them is, with its reason; else Unknown as
 * soon as one is; else True. `informative` conditions are shown and do not count.
 */
export function withReady(dependents: readonly Condition[], informative: readonly Condition[] = []): Condition[] {
  const culprit = dependents.find(one => one.status === 'False') ?? dependents.find(one => one.status === 'Unknown')
  const ready = culprit === undefined ? isTrue('Ready') : { ...culprit, type: 'Ready' }
  return [ready, ...dependents, ...informative]
}

/** Fields every status has: the generation it speaks of, and what a person should know although nothing is broken. */
export function commonStatus(
  resource: { readonly metadata: { readonly generation?: number } },
  notices: readonly string[],
): Readonly<Record<string, unknown>> {
  const { generation } = resource.metadata
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    ...(notices.length > 0 && { annotations: { 'weir.dev/notice': notices.join('; ') } }),
  }
}

function condition(type: string, status: Condition['status'], reason?: string, message?: string): Condition {
  return { type, status, ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) }
}
