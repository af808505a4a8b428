/** Which hub, and what opens it. Held in memory only: never logged, never reported. */
export type HubAccess =
  /** Of the namespace or of the hub itself, with a key or with `SharedAccessSignature`. */
  | { readonly connectionString: string; readonly hub: string }
  /** The identity that the workload has; `clientId` where there are several. */
  | { readonly namespace: string; readonly hub: string; readonly clientId: string | undefined }

/** The container that checkpoints are kept in, and what opens it. */
export type ContainerAccess =
  | { readonly connectionString: string; readonly container: string }
  | { readonly url: string; readonly account: string; readonly accountKey: string }
  /** The address carries its own signature, `https://…/container?sv=…&sig=…`. */
  | { readonly url: string }
  | { readonly url: string; readonly clientId: string | undefined; readonly identity: true }

/** The credentials cannot be what they claim to be. The message names parts, and never quotes values. */
export class EventHubsAccessError extends Error {
  override readonly name = 'EventHubsAccessError'
  readonly code = 'event-hubs-access'
}

/** What people write of where a hub is. */
export interface HubNames {
  /** `acme`, or `acme.servicebus.windows.net`. */
  readonly namespace?: string
  readonly eventHubName?: string
  readonly auth: { readonly workloadIdentity?: { readonly clientId?: string } }
}

/** What people write of where checkpoints are kept. */
export interface ContainerNames {
  readonly blobContainerUrl?: string
  readonly containerName?: string
}

type Credentials = Readonly<Record<string, string>>

/**
 * How a hub is reached, put together from what was written of it. Pure.
 * @param credentials `connectionString` or `sasToken`; neither with `workloadIdentity`.
 * @throws {EventHubsAccessError} where something is missing.
 */
export function hubAccessOf(names: HubNames, credentials: Credentials): HubAccess {
  const { connectionString, sasToken } = credentials
  const hub = names.eventHubName ?? entityIn(connectionString)
  if (hub === undefined)
    throw new EventHubsAccessError('eventHubName is not set, and the connection string names no hub')
  if (connectionString !== undefined) {
    checkConnectionString(connectionString, hub)
    return { connectionString: connectionString.trim(), hub }
  }
  if (names.namespace === undefined) throw new EventHubsAccessError('namespace is not set')
  const namespace = hostOf(names.namespace)
  if (sasToken === undefined) return { namespace, hub, clientId: names.auth.workloadIdentity?.clientId }
  const token = sasToken.trim()
  if (!/^SharedAccessSignature .*\bsig=/.test(token))
    throw new EventHubsAccessError('sasToken is no token: it begins with "SharedAccessSignature sr=" and has sig=')
  return { connectionString: `Endpoint=sb://${namespace}/;SharedAccessSignature=${token}`, hub }
}

/** `acme.servicebus.windows.net`, with the port where an emulator has one: as the official clients name it in checkpoints. */
export function namespaceOf(access: HubAccess): string {
  if ('namespace' in access) return access.namespace
  const endpoint = partOf(access.connectionString, 'Endpoint') ?? ''
  return /^\w+:\/\/([^/]+)/.exec(endpoint)?.[1] ?? ''
}

/**
 * Where checkpoints are kept. Pure.
 * @param credentials `checkpointConnectionString`, `checkpointAccountKey` or `checkpointSasToken`; none where the hub is
 * opened by identity, which then opens the container too.
 * @throws {EventHubsAccessError} where something is missing.
 */
export function containerAccessOf(names: ContainerNames, hub: HubAccess, credentials: Credentials): ContainerAccess {
  const { checkpointConnectionString, checkpointAccountKey, checkpointSasToken } = credentials
  const url = names.blobContainerUrl?.replace(/\/+$/, '')
  if (checkpointConnectionString !== undefined) {
    const container = names.containerName ?? lastPart(url)
    if (container === undefined) throw new EventHubsAccessError('checkpoint.containerName is not set')
    return { connectionString: checkpointConnectionString.trim(), container }
  }
  if (url === undefined) throw new EventHubsAccessError('checkpoint.blobContainerUrl is not set')
  if (checkpointAccountKey !== undefined) {
    return { url, account: accountIn(url), accountKey: keyOf(checkpointAccountKey) }
  }
  if (checkpointSasToken !== undefined) {
    const token = checkpointSasToken.trim().replace(/^\?/, '')
    if (!/(^|&)sig=/.test(token)) throw new EventHubsAccessError('checkpoint sasToken has no signature (sig=…)')
    return { url: `${url}?${token}` }
  }
  if (/[?&]sig=/.test(url)) return { url }
  if ('namespace' in hub) return { url, clientId: hub.clientId, identity: true }
  throw new EventHubsAccessError('checkpoint.auth names no connectionString, accountKey or sasToken')
}

function checkConnectionString(text: string, hub: string): void {
  const endpoint = partOf(text, 'Endpoint')
  if (endpoint === undefined || !/^sb:\/\/[^/]+/.test(endpoint))
    throw new EventHubsAccessError('the connection string has no Endpoint=sb://…')
  const signed = partOf(text, 'SharedAccessSignature') !== undefined
  const keyed = partOf(text, 'SharedAccessKeyName') !== undefined && partOf(text, 'SharedAccessKey') !== undefined
  if (!signed && !keyed)
    throw new EventHubsAccessError(
      'the connection string has neither SharedAccessKeyName with SharedAccessKey nor SharedAccessSignature',
    )
  const entity = entityIn(text)
  if (entity !== undefined && entity.toLowerCase() !== hub.toLowerCase())
    throw new EventHubsAccessError('the connection string is of another hub than eventHubName')
}

function entityIn(connectionString: string | undefined): string | undefined {
  return connectionString === undefined ? undefined : partOf(connectionString, 'EntityPath')
}

function partOf(text: string, name: string): string | undefined {
  for (const part of text.split(';')) {
    const at = part.indexOf('=')
    const value = part.slice(at + 1).trim()
    if (at > 0 && value !== '' && part.slice(0, at).trim().toLowerCase() === name.toLowerCase()) return value
  }
  return undefined
}

function hostOf(namespace: string): string {
  return namespace.includes('.') ? namespace : `${namespace}.servicebus.windows.net`
}

function lastPart(url: string | undefined): string | undefined {
  return URL.parse(url ?? '')
    ?.pathname.split('/')
    .findLast(part => part !== '')
}

/** The first label of the host, or, at an emulator, the first part of the path. */
function accountIn(url: string): string {
  const { hostname = '', pathname = '' } = URL.parse(url) ?? {}
  const parts = pathname.split('/').filter(part => part !== '')
  return (parts.length > 1 ? parts[0] : hostname.split('.')[0]) ?? ''
}

function keyOf(text: string): string {
  const key = text.trim()
  if (key === '' || Buffer.from(key, 'base64').toString('base64') !== key)
    throw new EventHubsAccessError('checkpoint accountKey is not base64: it may have been cut off when it was copied')
  return key
}
