import { type Fields, present, type Shape, type Value } from './reader.ts'
import type { SecretKeyRef } from './source-fields.ts'
import type { SecretRefs } from './sources.ts'

/** How a RabbitMQ server is found: `rabbitmqClusterReference` of Knative's RabbitMQ resources. Exactly one of the two. */
export interface RabbitmqClusterReference {
  /** A RabbitmqCluster of the cluster operator in the same namespace, whose Secret `<name>-default-user` is used. */
  readonly name?: string
  /** A Secret in the same namespace with keys `uri`, `username`, `password`, `port`, `ca.crt`. */
  readonly connectionSecret?: string
}

export const CLUSTER_HINTS: Readonly<Record<string, string>> = {
  connectionSecret: 'indent it under `rabbitmqClusterReference`',
  connection: 'write `rabbitmqClusterReference: {connectionSecret: {name: …}}`',
  cluster: 'did you mean `rabbitmqClusterReference: {name: …}`?',
}

const CLUSTER: Shape<'name' | 'connectionSecret' | 'namespace'> = {
  known: ['name', 'connectionSecret', 'namespace'],
  hints: { uri: 'put it in a Secret with keys `uri`, `username`, `password` and name that by `connectionSecret`' },
}

/** Reads the required `rabbitmqClusterReference` of `spec`; `namespace` is the object's own. */
export function readRabbitmqCluster(
  spec: Fields<'rabbitmqClusterReference'>,
  namespace: string,
): RabbitmqClusterReference {
  const fields = spec.requiredSection('rabbitmqClusterReference', CLUSTER)
  const name = fields.get('name')
  const secret = fields.get('connectionSecret')
  if (name === undefined && secret === undefined)
    fields.miss('`spec.rabbitmqClusterReference` needs `name` or `connectionSecret`')
  if (name !== undefined && secret !== undefined)
    secret.mistake('`spec.rabbitmqClusterReference` takes `name` or `connectionSecret`, not both')
  readNamespace(fields.get('namespace'), namespace)
  return present({ name: name?.word(), connectionSecret: secret && readSecretName(secret) })
}

function readSecretName(value: Value): string | undefined {
  return value
    .fields({ known: ['name'] })
    .required('name')
    ?.word()
}

/** Adapters see the Secrets of their own namespace and no others. */
function readNamespace(value: Value | undefined, own: string): void {
  const namespace = value?.word()
  if (value === undefined || namespace === undefined || namespace === own) return
  value.mistake(
    `\`${value.path}\` must be \`${own}\`, where this object is: a Secret of another namespace cannot be read. Copy it here and name it by \`connectionSecret\``,
  )
}

/** The keys of the Secret, by the names that the client knows them by. */
export function clusterSecrets({ name, connectionSecret }: RabbitmqClusterReference): SecretRefs {
  const secret = connectionSecret ?? `${name ?? ''}-default-user`
  const optional = (key: string): SecretKeyRef => ({ name: secret, key, optional: true })
  const common = { port: optional('port'), managementUri: optional('managementUri'), 'ca.crt': optional('ca.crt') }
  if (connectionSecret === undefined) {
    const needed = (key: string): SecretKeyRef => ({ name: secret, key })
    return { host: needed('host'), username: needed('username'), password: needed('password'), ...common }
  }
  // User and password may stand in the address.
  return {
    uri: { name: secret, key: 'uri' },
    username: optional('username'),
    password: optional('password'),
    ...common,
  }
}
