import type { ConfigMapResource, EnvVar, SecretResource } from '../crds/workloads.ts'

export type Environment =
  | { readonly kind: 'resolved'; readonly env: Readonly<Record<string, string>> }
  /** In words, every one of them. */
  | { readonly kind: 'missing'; readonly reasons: readonly string[] }

/**
 * The environment of a container: `base`, and its own `env` on top, with values out of Secrets and ConfigMaps of its
 * namespace. `$(NAME)` refers to what stands before it, as in Kubernetes. Pure.
 */
export function resolveEnvironment(
  vars: readonly EnvVar[],
  base: Readonly<Record<string, string>>,
  objects: {
    readonly secret: (name: string) => SecretResource | undefined
    readonly configMap: (name: string) => ConfigMapResource | undefined
  },
): Environment {
  const own: Record<string, string> = Object.create(null)
  const reasons: string[] = []
  for (const entry of vars) {
    if ('value' in entry) {
      own[entry.name] = expand(entry.value, own)
      continue
    }
    const kind = entry.from === 'secret' ? 'Secret' : 'ConfigMap'
    const object = entry.from === 'secret' ? objects.secret(entry.object) : objects.configMap(entry.object)
    if (object !== undefined && Object.hasOwn(object.data, entry.key)) own[entry.name] = object.data[entry.key] ?? ''
    else if (!entry.optional) {
      const what =
        object === undefined ? `there is no ${kind} ${entry.object}` : `${kind} ${entry.object} has no key ${entry.key}`
      reasons.push(`env ${entry.name}: ${what}`)
    }
  }
  return reasons.length > 0 ? { kind: 'missing', reasons } : { kind: 'resolved', env: { ...base, ...own } }
}

/** Kubernetes' `$(NAME)`; `$$(NAME)` is the text `$(NAME)`, and an unknown name stays as it is written. */
export function expand(text: string, env: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$\(|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string | undefined) => {
    if (name === undefined) return '$('
    return Object.hasOwn(env, name) ? (env[name] ?? whole) : whole
  })
}
