import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import type { ScalerContext } from './scaler.ts'

/** A setting of a trigger, or why it is not there, in words that name Secrets and keys and never their values. */
export type Found = { readonly value: string } | { readonly reason: string }

/**
 * The setting `name` of a trigger as KEDA looks for it: the parameter of its authentication, the variable of the target's
 * container that `<name>FromEnv` names, the metadata. The first one wins.
 * @returns undefined where it is not given at all.
 */
export function settingOf(trigger: ScaleTrigger, name: string, context: ScalerContext): Found | undefined {
  const authenticated = trigger.authenticationRef && fromAuthentication(trigger.authenticationRef, name, context)
  if (authenticated !== undefined) return authenticated
  const variable = trigger.metadata[`${name}FromEnv`]
  if (variable) return fromEnvironment(variable, context)
  const value = trigger.metadata[name]
  return value ? { value } : undefined
}

/** KEDA's default is a declaration nobody wrote: there the profile decides. */
const KEDA_POLL_SECONDS = 30

/** How often what a trigger names is read. */
export function pollMs(context: ScalerContext): number {
  const seconds = context.object.spec.pollingInterval
  return seconds === KEDA_POLL_SECONDS ? context.profile.defaultPollMs : Math.max(1, seconds) * 1_000
}

function fromAuthentication(
  ref: { readonly name: string; readonly kind: string },
  parameter: string,
  context: ScalerContext,
): Found | undefined {
  const { namespace } = context.object.metadata
  const found = context.facts.authentications.find(
    one => ref.kind === one.kind && one.metadata.name === ref.name && one.metadata.namespace === namespace,
  )
  if (found === undefined) return { reason: `${ref.kind} ${namespace}/${ref.name} does not exist` }
  const secret = found.spec.secretTargetRef.find(one => one.parameter === parameter)
  if (secret !== undefined) return fromSecret(secret.name, secret.key, context)
  const env = found.spec.env.find(one => one.parameter === parameter)
  return env && fromEnvironment(env.name, context)
}

/** An environment variable of the target's container, as `…FromEnv` means it. */
function fromEnvironment(variable: string, context: ScalerContext): Found {
  const { deployment } = context
  const found = deployment.spec.container.env.find(one => one.name === variable)
  if (found === undefined)
    return { reason: `Deployment ${deployment.metadata.name} has no environment variable ${variable}` }
  if ('value' in found) return { value: found.value }
  if (found.from === 'secret') return fromSecret(found.object, found.key, context)
  return { reason: `${variable} comes from ConfigMap ${found.object}: a connection string belongs in a Secret` }
}

/** A missing Secret is said as such; KEDA takes an empty text, which later looks like a broken login. */
function fromSecret(name: string, key: string, context: ScalerContext): Found {
  const { namespace } = context.object.metadata
  const value = context.facts.secretValue(namespace, name, key)
  if (value !== undefined && value !== '') return { value }
  return { reason: `Secret ${namespace}/${name} has no key ${JSON.stringify(key)}` }
}
