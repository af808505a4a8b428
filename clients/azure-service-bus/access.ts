/** Which queue, topic or subscription, and what opens it. Held in memory only: never logged, never reported. */
export type BusAccess =
  /** Of the namespace, with a key or with `SharedAccessSignature`; names no entity itself. */
  | { readonly connectionString: string; readonly entity: string }
  /** The identity that the workload has; `clientId` where there are several. */
  | { readonly namespace: string; readonly clientId: string | undefined; readonly entity: string }

/** The credentials cannot be what they claim to be. The message names parts, and never quotes values. */
export class ServiceBusAccessError extends Error {
  override readonly name = 'ServiceBusAccessError'
  readonly code = 'service-bus-access'
}

/** What people write of where messages are. */
export interface BusNames {
  /** `acme`, or `acme.servicebus.windows.net`. */
  readonly namespace?: string
  readonly queueName?: string
  readonly topicName?: string
  /** Of the topic; where messages only go to the topic there is none. */
  readonly subscriptionName?: string
  readonly auth: { readonly workloadIdentity?: { readonly clientId?: string } }
}

/**
 * How a queue, topic or subscription is reached, put together from what was written of it. Pure.
 * @param credentials `connectionString` or `sasToken`; neither with `workloadIdentity`.
 * @throws {ServiceBusAccessError} where something is missing.
 */
export function busAccessOf(names: BusNames, credentials: Readonly<Record<string, string>>): BusAccess {
  const { connectionString, sasToken } = credentials
  if (connectionString !== undefined) return fromConnectionString(connectionString, names)
  const entity = entityOf(names)
  if (entity === undefined) throw new ServiceBusAccessError('neither queueName nor topicName is set')
  if (names.namespace === undefined) throw new ServiceBusAccessError('namespace is not set')
  const namespace = names.namespace.includes('.') ? names.namespace : `${names.namespace}.servicebus.windows.net`
  if (sasToken === undefined) return { namespace, clientId: names.auth.workloadIdentity?.clientId, entity }
  const token = sasToken.trim()
  if (!/^SharedAccessSignature .*\bsig=/.test(token)) {
    throw new ServiceBusAccessError('sasToken is no token: it begins with "SharedAccessSignature sr=" and has sig=')
  }
  return { connectionString: `Endpoint=sb://${namespace}/;SharedAccessSignature=${token}`, entity }
}

/** `sb://namespace/entity`, as the service names it: safe to show. */
export function urlOf(access: BusAccess): string {
  return `sb://${hostOf(access)}/${access.entity.replace('/Subscriptions/', '/subscriptions/')}`
}

/** Whether it is an emulator, which has no administration over HTTPS. */
export function isEmulator(access: BusAccess): boolean {
  return 'connectionString' in access && partsOf(access.connectionString).get('usedevelopmentemulator') === 'true'
}

function hostOf(access: BusAccess): string {
  if ('namespace' in access) return access.namespace
  return hostIn(partsOf(access.connectionString).get('endpoint')) ?? ''
}

function entityOf({ queueName, topicName, subscriptionName }: BusNames): string | undefined {
  if (queueName !== undefined) return queueName
  return topicName !== undefined && subscriptionName !== undefined
    ? `${topicName}/Subscriptions/${subscriptionName}`
    : topicName
}

function fromConnectionString(text: string, names: BusNames): BusAccess {
  const parts = partsOf(text)
  if (hostIn(parts.get('endpoint')) === undefined)
    throw new ServiceBusAccessError('the connection string has no Endpoint=sb://…')
  const keyed = parts.has('sharedaccesskeyname') && parts.has('sharedaccesskey')
  if (!keyed && !parts.has('sharedaccesssignature')) {
    throw new ServiceBusAccessError(
      'the connection string has neither SharedAccessKeyName with SharedAccessKey nor SharedAccessSignature',
    )
  }
  const given = parts.get('entitypath')
  const entity = entityOf(names) ?? given
  if (entity === undefined)
    throw new ServiceBusAccessError('neither queueName nor topicName is set, and the connection string names no entity')
  if (given !== undefined && given.toLowerCase() !== entity.split('/')[0]?.toLowerCase())
    throw new ServiceBusAccessError('the connection string is of another entity than queueName or topicName')
  // The client takes an entity beside its own for a mistake, also where it is the topic of a subscription.
  const connectionString = text.split(';').filter(part => !/^\s*entitypath\s*=/i.test(part) && part.trim() !== '')
  return { connectionString: connectionString.map(part => part.trim()).join(';'), entity }
}

function hostIn(endpoint: string | undefined): string | undefined {
  return /^sb:\/\/([^/]+)/i.exec(endpoint ?? '')?.[1]
}

/** `Name=value;…`, names in lower case. A value may hold `=` itself. */
function partsOf(text: string): Map<string, string> {
  const parts = new Map<string, string>()
  for (const part of text.split(';')) {
    const at = part.indexOf('=')
    const value = part.slice(at + 1).trim()
    if (at > 0 && value !== '') parts.set(part.slice(0, at).trim().toLowerCase(), value)
  }
  return parts
}
