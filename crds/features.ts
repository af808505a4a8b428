import type { Value } from './reader.ts'
import { short } from './reader.ts'
import type { ConfigMapResource } from './workloads.ts'

/** What the ConfigMap `config-features` of Knative Eventing switches on, as far as Weir acts on it. */
export interface Features {
  /** Whoever sends to a Broker shows a token, and what Weir sends to sinks with an audience carries one. */
  readonly oidc: boolean
  /** Who may send to a Broker that no EventPolicy protects. Counts only with `oidc`. */
  readonly authorization: 'allow-all' | 'deny-all' | 'allow-same-namespace'
  /** Whose tokens are taken, where that is somebody else than the cluster itself. */
  readonly issuer: string | undefined
}

/** As Knative ships it. */
export const DEFAULT_FEATURES: Features = { oidc: false, authorization: 'allow-same-namespace', issuer: undefined }

/** Where Knative keeps its own configuration. */
export const SYSTEM_NAMESPACE = 'knative-eventing'
export const FEATURES_CONFIG_MAP = 'config-features'

const OIDC = 'authentication-oidc'
const AUTHORIZATION = 'default-authorization-mode'
const ISSUER = 'oidc-discovery-base-url'
/** The cluster's own issuer, by the name that Knative has for it; on a laptop that is Weir's. */
const OWN_ISSUER = 'https://kubernetes.default.svc'
const WORDS = {
  [OIDC]: ['enabled', 'disabled'],
  [AUTHORIZATION]: ['allow-all', 'deny-all', 'allow-same-namespace'],
} as const

/** Whether `resource` is the ConfigMap of the features. */
export function isFeatures({
  metadata,
}: {
  readonly metadata: { readonly namespace: string; readonly name: string }
}): boolean {
  return metadata.namespace === SYSTEM_NAMESPACE && metadata.name === FEATURES_CONFIG_MAP
}

/** Case counts for nothing in its values (Knative's feature flags). What is absent or cannot be read is as Knative ships it. */
export function readFeatures(config: Pick<ConfigMapResource, 'data'> | undefined): Features {
  return {
    oidc: wordOf(config, OIDC) === 'enabled',
    authorization: wordOf(config, AUTHORIZATION) ?? DEFAULT_FEATURES.authorization,
    issuer: issuerOf(config),
  }
}

/** Tells the values that Weir acts on and cannot read: a misspelt `enabled` would leave the door open. */
export function checkFeatures(data: Value | undefined): void {
  if (data === undefined || !data.isMap()) return
  for (const { name, value } of data.entries()) {
    if (name === ISSUER && !value.isNull() && !isIssuer(value.text() ?? OWN_ISSUER))
      value.mistake(`\`${ISSUER}\` must be an https address, not \`${short(value.text() ?? '')}\``)
    if (!isFlag(name) || value.isNull()) continue
    const text = value.text()
    if (text === undefined || read(name, text) !== undefined) continue
    const legal = WORDS[name].map(word => `\`${word}\``).join(' or ')
    value.mistake(`\`${name}\` must be ${legal}, not \`${short(text)}\``)
  }
}

/** Over an open line anybody could answer for it, except on this machine. */
function isIssuer(text: string): boolean {
  const url = URL.parse(text.trim())
  return (
    url?.protocol === 'https:' ||
    (url?.protocol === 'http:' && /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname))
  )
}

function issuerOf(config: Pick<ConfigMapResource, 'data'> | undefined): string | undefined {
  const text = config !== undefined && Object.hasOwn(config.data, ISSUER) ? config.data[ISSUER]?.trim() : undefined
  return text === undefined || text === OWN_ISSUER || !isIssuer(text) ? undefined : text
}

function isFlag(name: string): name is keyof typeof WORDS {
  return Object.hasOwn(WORDS, name)
}

function wordOf<Name extends keyof typeof WORDS>(
  config: Pick<ConfigMapResource, 'data'> | undefined,
  name: Name,
): (typeof WORDS)[Name][number] | undefined {
  return config === undefined || !Object.hasOwn(config.data, name) ? undefined : read(name, config.data[name] ?? '')
}

function read<Name extends keyof typeof WORDS>(name: Name, text: string): (typeof WORDS)[Name][number] | undefined {
  const words: readonly (typeof WORDS)[Name][number][] = WORDS[name]
  return words.find(word => word === text.trim().toLowerCase())
}
