/** Where in the user's files something stands. Lines and columns count from 1. */
export interface Where {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** One mistake, in words a person can act on. */
export interface Mistake extends Where {
  readonly message: string
}

export interface Metadata {
  readonly name: string
  /** `default` where the YAML names none. */
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Set by an API server; absent in a file. */
  readonly uid?: string
  readonly generation?: number
}

/** The shape every kind shares. `where` is its first line in a file. */
export interface ResourceOf<Kind extends string, ApiVersion extends string> {
  readonly apiVersion: ApiVersion
  readonly kind: Kind
  readonly metadata: Metadata
  readonly where: Where
}

/** Knative's KReference. `namespace` is filled in with the object's own. */
export interface Reference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly namespace: string
}

/** Knative's duck type Destination: `ref`, or `uri`, or `ref` with a relative `uri`. */
export interface Destination {
  readonly ref?: Reference
  readonly uri?: string
  readonly CACerts?: string
  readonly audience?: string
}

/** A condition as Knative writes it. */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
}

/** `Kind/namespace/name`: the key of a resource in maps, queues and messages. */
export function resourceKey(resource: { kind: string; metadata: { namespace: string; name: string } }): string {
  return `${resource.kind}/${resource.metadata.namespace}/${resource.metadata.name}`
}
