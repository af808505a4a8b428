import type { SecretRefs } from '../crds/sources.ts'

export type Credentials =
  /** By the parameter names. Never logged, never reported. */
  | { readonly kind: 'found'; readonly credentials: Readonly<Record<string, string>> }
  /** In words; names Secrets and keys, never their values. */
  | { readonly kind: 'missing'; readonly reason: string }

/** The values that `refs` name, out of Secrets of the namespace. An optional one that is missing is left out. Pure. */
export function readCredentials(
  refs: SecretRefs,
  namespace: string,
  secretValue: (name: string, key: string) => string | undefined,
): Credentials {
  const credentials: Record<string, string> = {}
  for (const [parameter, ref] of Object.entries(refs)) {
    const value = secretValue(ref.name, ref.key)
    if (value !== undefined && value !== '') credentials[parameter] = value
    else if (ref.optional !== true) {
      return { kind: 'missing', reason: `Secret ${namespace}/${ref.name} has no key ${JSON.stringify(ref.key)}` }
    }
  }
  return { kind: 'found', credentials }
}
