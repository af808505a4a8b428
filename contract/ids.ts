/** Identity of a Broker or a Trigger: `namespace/name`. Made by the functions below and by nothing else. */
export type BrokerId = string & { readonly brand: 'broker' }
export type TriggerId = string & { readonly brand: 'trigger' }
/** Identity of something that runs in replicas (a Deployment, an adapter): `kind/namespace/name`, kind in lower case. */
export type WorkloadId = string & { readonly brand: 'workload' }

export function brokerId(namespace: string, name: string): BrokerId {
  return `${namespace}/${name}` as BrokerId
}

export function triggerId(namespace: string, name: string): TriggerId {
  return `${namespace}/${name}` as TriggerId
}

export function workloadId(kind: string, namespace: string, name: string): WorkloadId {
  return `${kind.toLowerCase()}/${namespace}/${name}` as WorkloadId
}
