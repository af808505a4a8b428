import { compileFilters } from '../../contract/filter.ts'
import type { Access } from '../../contract/routes.ts'
import type { CloudEvent } from '../../event/event.ts'

/** Undefined: the sender may. Otherwise why not, in words that follow the sender's name. */
export type Decide = (subject: string, event: CloudEvent) => string | undefined

/**
 * Who may send what to a Broker of `namespace` (Knative's EventPolicy). The first policy with a subject that names the
 * sender decides, by its filters; later ones are not tried. Case counts for nothing in subjects. Where there is no policy
 * the default mode decides. Pure; what it returns is total and never throws.
 */
export function compileAccess({ policies, otherwise }: Access, namespace: string): Decide {
  if (policies.length === 0) return byDefault(otherwise, namespace)
  const compiled = policies.map(({ name, subjects, filters }) => ({
    refusal: `is let in by ${name}, but not with this event: its filters do not pass`,
    names: subjects.map(compileSubject),
    passes: compileFilters(filters),
  }))
  return (subject, event) => {
    const lower = subject.toLowerCase()
    const policy = compiled.find(({ names }) => names.some(name => name(lower)))
    if (policy === undefined) return 'is named by no EventPolicy of this Broker'
    return policy.passes(event) ? undefined : policy.refusal
  }
}

function byDefault(mode: Access['otherwise'], namespace: string): Decide {
  switch (mode) {
    case 'allow-all':
      return () => undefined
    case 'deny-all':
      return () => 'is named by no EventPolicy, and without one nobody may send (default-authorization-mode: deny-all)'
    case 'allow-same-namespace': {
      const prefix = `system:serviceaccount:${namespace}:`.toLowerCase()
      const refusal = `is not of the namespace ${namespace}, and no EventPolicy names it (default-authorization-mode: allow-same-namespace)`
      return subject => (subject.toLowerCase().startsWith(prefix) ? undefined : refusal)
    }
    default:
      return mode satisfies never
  }
}

/** For a sender's name in lower case. */
function compileSubject(subject: string): (lower: string) => boolean {
  const wanted = subject.toLowerCase()
  if (!wanted.endsWith('*')) return lower => lower === wanted
  const prefix = wanted.slice(0, -1)
  return lower => lower.startsWith(prefix)
}
