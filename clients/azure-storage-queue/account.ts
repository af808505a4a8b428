/** Which queue, and what opens it. Held in memory only: never logged, never reported. */
export type QueueAccess =
  /** As the portal gives it: with `AccountKey` or `SharedAccessSignature`, or `UseDevelopmentStorage=true`. */
  | { readonly connectionString: string; readonly queueName: string }
  | { readonly queueUrl: string; readonly accountName: string; readonly accountKey: string }
  /** An address that carries its own signature, `https://…/queue?sv=…&sig=…`. */
  | { readonly queueUrl: string }
  /** The identity that the workload has at Azure; `clientId` where it has several. */
  | { readonly queueUrl: string; readonly identity: { readonly clientId?: string } }

export interface QueuePlace {
  /** The queue's address without query: safe to show. */
  readonly url: string
  readonly name: string
  readonly credential:
    | { readonly kind: 'key'; readonly account: string; readonly key: string }
    /** The query of a shared access signature, without `?`. */
    | { readonly kind: 'signature'; readonly query: string }
    | { readonly kind: 'identity'; readonly clientId: string | undefined }
}

/** The credentials cannot be what they claim to be. The message names parts, and never quotes values. */
export class StorageAccessError extends Error {
  override readonly name = 'StorageAccessError'
  readonly code = 'storage-access'
}

/** What people write of where a queue is; a part may stand in another one. */
export interface QueueNames {
  readonly queueUrl?: string
  readonly accountName?: string
  readonly queueName?: string
  readonly endpointSuffix: string
  readonly auth?: { readonly workloadIdentity?: { readonly clientId?: string } }
}

/**
 * How a queue is reached, put together from what was written of it. Pure.
 * @param credentials `connectionString`, `accountKey` or `sasToken`; none with an identity, or where the address is signed.
 * @throws {StorageAccessError} where something is missing.
 */
export function accessOf(names: QueueNames, credentials: Readonly<Record<string, string>>): QueueAccess {
  const { queueUrl, queueName = nameIn(queueUrl) } = names
  const { connectionString, accountKey, sasToken } = credentials
  if (connectionString !== undefined) {
    if (queueName === undefined) throw new StorageAccessError('queueName is not set')
    return { connectionString, queueName }
  }
  if (accountKey !== undefined) {
    const accountName = names.accountName ?? accountIn(queueUrl)
    if (accountName === undefined) throw new StorageAccessError('accountName is not set')
    return { queueUrl: addressOf(names), accountName, accountKey }
  }
  if (sasToken !== undefined) return { queueUrl: signedAddress(addressOf(names), sasToken) }
  const identity = names.auth?.workloadIdentity
  if (identity !== undefined) return { queueUrl: addressOf(names), identity }
  if (queueUrl !== undefined && /[?&]sig=/.test(queueUrl)) return { queueUrl }
  throw new StorageAccessError('auth names no connectionString, accountKey, sasToken or workloadIdentity')
}

function addressOf({ queueUrl, accountName, queueName, endpointSuffix }: QueueNames): string {
  if (queueUrl !== undefined) return queueUrl
  if (accountName === undefined) throw new StorageAccessError('accountName is not set')
  if (queueName === undefined) throw new StorageAccessError('queueName is not set')
  return `https://${accountName}.queue.${endpointSuffix}/${queueName}`
}

/** The portal gives a token with the `?` of an address and without. */
function signedAddress(url: string, sasToken: string): string {
  const token = sasToken.trim().replace(/^\?/, '')
  if (!/(^|&)sig=/.test(token)) throw new StorageAccessError('the sasToken has no signature (sig=…)')
  return `${url.split('?')[0]}?${token}`
}

function nameIn(url: string | undefined): string | undefined {
  return pathOf(url).at(-1)
}

/** The first label of the host, or, at an emulator, the first part of the path. */
function accountIn(url: string | undefined): string | undefined {
  const path = pathOf(url)
  return path.length > 1 ? path[0] : URL.parse(url ?? '')?.hostname.split('.')[0]
}

function pathOf(url: string | undefined): string[] {
  return (URL.parse(url ?? '')?.pathname ?? '').split('/').filter(part => part !== '')
}

/** The account of every emulator and its key, which Microsoft publishes: no secret. */
const EMULATOR = [
  'AccountName=devstoreaccount1',
  'AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
].join(';')

/** Where the queue is and how requests to it are signed. Pure. @throws {StorageAccessError} */
export function locateQueue(access: QueueAccess): QueuePlace {
  if ('connectionString' in access) return fromConnectionString(access.connectionString, access.queueName)
  const { origin, pathname, search } = parseUrl(access.queueUrl, 'queueUrl')
  const name = pathname.split('/').findLast(part => part !== '')
  if (name === undefined) throw new StorageAccessError('queueUrl names no queue: it ends with the host')
  const url = origin + pathname.replace(/\/+$/, '')
  if ('accountKey' in access) {
    return { url, name, credential: keyOf(access.accountName, access.accountKey, 'the account key') }
  }
  if ('identity' in access) return { url, name, credential: { kind: 'identity', clientId: access.identity.clientId } }
  if (!/[?&]sig=/.test(search)) throw new StorageAccessError('queueUrl has no signature (sig=…), and there is no key')
  return { url, name, credential: { kind: 'signature', query: search.slice(1) } }
}

/** Another queue of the same account. */
export function siblingOf(place: QueuePlace, name: string): QueuePlace {
  return { ...place, url: place.url.slice(0, place.url.lastIndexOf('/') + 1) + name, name }
}

function fromConnectionString(text: string, name: string): QueuePlace {
  const parts = partsOf(text)
  if (parts.get('usedevelopmentstorage')?.toLowerCase() === 'true') {
    const proxy = parts.get('developmentstorageproxyuri') ?? 'http://127.0.0.1'
    const { protocol, hostname } = parseUrl(proxy, 'DevelopmentStorageProxyUri')
    const endpoint = `QueueEndpoint=${protocol}//${hostname}:10001/devstoreaccount1`
    return fromConnectionString(`${EMULATOR};${endpoint}`, name)
  }
  const url = `${endpointOf(parts)}/${name}`
  const signature = parts.get('sharedaccesssignature')
  if (signature !== undefined) {
    return { url, name, credential: { kind: 'signature', query: signature.replace(/^\?/, '') } }
  }
  const account = parts.get('accountname')
  const key = parts.get('accountkey')
  if (account === undefined || key === undefined) {
    throw new StorageAccessError(
      'the connection string has neither AccountName with AccountKey nor SharedAccessSignature',
    )
  }
  return { url, name, credential: keyOf(account, key, 'AccountKey in the connection string') }
}

function endpointOf(parts: ReadonlyMap<string, string>): string {
  const endpoint = parts.get('queueendpoint')
  if (endpoint !== undefined) {
    const { origin, pathname } = parseUrl(endpoint, 'QueueEndpoint')
    return origin + pathname.replace(/\/+$/, '')
  }
  const account = parts.get('accountname')
  if (account === undefined) throw new StorageAccessError('the connection string names no AccountName or QueueEndpoint')
  const protocol = parts.get('defaultendpointsprotocol') ?? 'https'
  const suffix = parts.get('endpointsuffix') ?? 'core.windows.net'
  return parseUrl(`${protocol}://${account}.queue.${suffix}`, 'the endpoint of the connection string').origin
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

function parseUrl(text: string, what: string): URL {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new StorageAccessError(`${what} is no address that begins with http:// or https://`)
  }
  return url
}

function keyOf(account: string, key: string, what: string): QueuePlace['credential'] {
  if (key === '' || Buffer.from(key, 'base64').toString('base64') !== key) {
    throw new StorageAccessError(`${what} is not base64: it may have been cut off when it was copied`)
  }
  return { kind: 'key', account, key }
}
