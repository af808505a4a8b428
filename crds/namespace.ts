import { readMetadata, TOP } from './metadata.ts'
import type { Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'

/** Namespace, v1: what its annotations allow its Brokers; the rest is Kubernetes' own. */
export interface NamespaceResource extends ResourceOf<'Namespace', 'v1'> {}

/** Reads a Namespace. It is in no namespace itself: its `metadata.namespace` means nothing. */
export function parseNamespace(value: Value): NamespaceResource {
  const top = value.fields({ known: TOP, silent: ['spec', 'status'] })
  return { apiVersion: 'v1', kind: 'Namespace', metadata: readMetadata(top, 'Namespace'), where: value.where }
}
