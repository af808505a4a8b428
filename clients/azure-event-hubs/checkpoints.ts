import type { BlobItem, ContainerClient } from '@azure/storage-blob'
import type { Clock } from '../../runtime/clock.ts'
import { inTime } from '../../runtime/in-time.ts'
import { azureIdentity } from '../azure-identity.ts'
import { noAnswer, trouble } from '../trouble.ts'
import type { ContainerAccess } from './access.ts'
import { blobTroubleOf, type Overtaken, type Trouble } from './outcome.ts'

/** Up to where the events of a partition are done. */
export interface Position {
  /** Undefined where who wrote it named only an offset. */
  readonly sequence: number | undefined
  readonly offset: string
  /** When its hub was made; undefined where who wrote it did not say. */
  readonly createdMs?: number | undefined
}

export interface Checkpoint extends Position {
  readonly etag: string
}

export interface Ownership {
  /** Empty where it was given up. */
  readonly owner: string
  /** With how high a reader was opened under it; 0 where somebody else's reader wrote it. */
  readonly epoch: number
  readonly etag: string
  readonly ageMs: number
}

/** All that a consumer group keeps, by partition. */
export interface Kept {
  readonly kind: 'kept'
  readonly checkpoints: ReadonlyMap<string, Checkpoint>
  readonly ownerships: ReadonlyMap<string, Ownership>
  /** Who reads or would like to, and for how long they have not said so. */
  readonly members: ReadonlyMap<string, number>
}

export type Written = { readonly kind: 'written'; readonly etag: string } | Overtaken | Trouble

/**
 * Checkpoints and ownerships of one consumer group in a blob container, laid out as the official clients' stores have them:
 * `namespace/hub/group/checkpoint/partition` and `…/ownership/partition` in lower case, the facts as metadata. Ages are by
 * the clock of the service, so that clocks of readers need not agree. Every call is tried once and ends within
 * `BLOB_TIMEOUT_MS`; all throw the signal's reason when it aborts, and whether it was done is then unknown.
 */
export interface CheckpointStore {
  /** Address of the container without credentials. */
  readonly url: string
  read(signal: AbortSignal): Promise<Kept | Trouble>
  /** `etag` is of the checkpoint that was read or written last; undefined: there was none. */
  checkpoint(partition: string, position: Position, etag: string | undefined, signal: AbortSignal): Promise<Written>
  /** Takes, keeps or (with no owner) gives up a partition. `etag` as above. */
  own(partition: string, owner: string, epoch: number, etag: string | undefined, signal: AbortSignal): Promise<Written>
  /** Says that `member` is there. */
  attend(member: string, signal: AbortSignal): Promise<{ readonly kind: 'attended' } | Trouble>
  leave(member: string, signal: AbortSignal): Promise<{ readonly kind: 'left' } | Trouble>
  /** Makes the container unless it is there. */
  create(signal: AbortSignal): Promise<{ readonly kind: 'created' } | Trouble>
}

export interface GroupNames {
  readonly namespace: string
  readonly name: string
  readonly group: string
}

export const BLOB_TIMEOUT_MS = 10_000

/** A store, not yet connected to: the client is loaded when it is first needed. */
export function openCheckpoints(access: ContainerAccess, names: GroupNames, clock: Clock): CheckpointStore {
  return new BlobCheckpoints(access, names, clock)
}

class BlobCheckpoints implements CheckpointStore {
  readonly url: string
  readonly #access: ContainerAccess
  readonly #prefix: string
  readonly #clock: Clock
  #container: Promise<ContainerClient> | undefined

  constructor(access: ContainerAccess, { namespace, name, group }: GroupNames, clock: Clock) {
    this.url = 'url' in access ? (access.url.split('?')[0] ?? '') : `container ${access.container}`
    this.#access = access
    this.#prefix = `${namespace}/${name}/${group}/`.toLowerCase()
    this.#clock = clock
  }

  async read(signal: AbortSignal): Promise<Kept | Trouble> {
    const answer = await this.#call(signal, async (container, abortSignal) => {
      const blobs: [name: string, blob: BlobItem][] = []
      let nowMs = 0
      const options = { prefix: this.#prefix, includeMetadata: true, abortSignal }
      for await (const page of container.listBlobsFlat(options).byPage()) {
        nowMs = page.date?.getTime() ?? nowMs
        for (const blob of page.segment.blobItems) blobs.push([blob.name.slice(this.#prefix.length), blob])
      }
      return keptOf(blobs, nowMs)
    })
    return answer.kind === 'overtaken'
      ? trouble('rejected', `${this.url} speaks of a condition that was not set`)
      : answer
  }

  checkpoint(partition: string, position: Position, etag: string | undefined, signal: AbortSignal): Promise<Written> {
    const { sequence, offset, createdMs } = position
    const created = createdMs === undefined ? {} : { createdon: String(createdMs) }
    const metadata = { sequencenumber: String(sequence ?? ''), offset, ...created }
    return this.#write(`checkpoint/${partition}`, metadata, etag, signal)
  }

  own(
    partition: string,
    owner: string,
    epoch: number,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<Written> {
    return this.#write(`ownership/${partition}`, { ownerid: owner, epoch: String(epoch) }, etag, signal)
  }

  async attend(member: string, signal: AbortSignal): Promise<{ readonly kind: 'attended' } | Trouble> {
    const answer = await this.#call(signal, async (container, abortSignal) => {
      await container.getBlockBlobClient(`${this.#prefix}member/${member}`).upload('', 0, { abortSignal })
      return { kind: 'attended' as const }
    })
    return answer.kind === 'overtaken' ? { kind: 'attended' } : answer
  }

  async leave(member: string, signal: AbortSignal): Promise<{ readonly kind: 'left' } | Trouble> {
    const answer = await this.#call(signal, async (container, abortSignal) => {
      await container.getBlockBlobClient(`${this.#prefix}member/${member}`).deleteIfExists({ abortSignal })
      return { kind: 'left' as const }
    })
    return answer.kind === 'overtaken' ? { kind: 'left' } : answer
  }

  async create(signal: AbortSignal): Promise<{ readonly kind: 'created' } | Trouble> {
    const answer = await this.#call(signal, async (container, abortSignal) => {
      await container.createIfNotExists({ abortSignal })
      return { kind: 'created' as const }
    })
    return answer.kind === 'overtaken' ? { kind: 'created' } : answer
  }

  #write(
    name: string,
    metadata: Record<string, string>,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<Written> {
    const conditions = etag === undefined ? { ifNoneMatch: '*' } : { ifMatch: etag }
    return this.#call(signal, async (container, abortSignal) => {
      const blob = container.getBlockBlobClient(this.#prefix + name)
      const written = await blob.upload('', 0, { metadata, conditions, abortSignal })
      if (written.etag === undefined) return trouble('rejected', `${this.url} names no etag for what was written`)
      return { kind: 'written' as const, etag: written.etag }
    })
  }

  async #call<T>(
    signal: AbortSignal,
    request: (container: ContainerClient, signal: AbortSignal) => Promise<T>,
  ): Promise<T | Overtaken | Trouble> {
    try {
      this.#container ??= connect(this.#access)
      const container = await this.#container
      const late = noAnswer(this.url, BLOB_TIMEOUT_MS)
      return await inTime(this.#clock, BLOB_TIMEOUT_MS, signal, inner => request(container, inner), late)
    } catch (error) {
      signal.throwIfAborted()
      return blobTroubleOf(error, this.url)
    }
  }
}

function keptOf(blobs: readonly [name: string, blob: BlobItem][], nowMs: number): Kept {
  const checkpoints = new Map<string, Checkpoint>()
  const ownerships = new Map<string, Ownership>()
  const members = new Map<string, number>()
  for (const [path, { metadata = {}, properties }] of blobs) {
    const [what, name = ''] = path.split('/')
    const etag = quoted(properties.etag)
    const ageMs = nowMs - properties.lastModified.getTime()
    if (what === 'checkpoint') {
      const { sequencenumber = '', offset = '', createdon = '' } = metadata
      // The official stores have written offsets of old hubs as numbers, and none at all where there is none.
      const sequence = /^-?\d+$/.test(sequencenumber) ? Number(sequencenumber) : undefined
      const createdMs = /^\d+$/.test(createdon) ? Number(createdon) : undefined
      checkpoints.set(name, { sequence, offset, createdMs, etag })
    } else if (what === 'ownership') {
      const epoch = /^\d+$/.test(metadata.epoch ?? '') ? Number(metadata.epoch) : 0
      ownerships.set(name, { owner: metadata.ownerid ?? '', epoch, etag, ageMs })
    } else if (what === 'member') members.set(name, ageMs)
  }
  return { kind: 'kept', checkpoints, ownerships, members }
}

/** A listing has etags without the quotes that conditions need (RFC 9110 §8.8.3). */
function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`
}

async function connect(access: ContainerAccess): Promise<ContainerClient> {
  const sdk = await import('@azure/storage-blob')
  // A repeated conditional write would be refused because of the first: whoever calls knows what to make of that.
  const options = { retryOptions: { maxTries: 1 } }
  if ('connectionString' in access) {
    return new sdk.ContainerClient(access.connectionString, access.container, options)
  }
  if ('accountKey' in access) {
    const key = new sdk.StorageSharedKeyCredential(access.account, access.accountKey)
    return new sdk.ContainerClient(access.url, sdk.newPipeline(key, options))
  }
  const credential = 'identity' in access ? await azureIdentity(access.clientId) : new sdk.AnonymousCredential()
  return new sdk.ContainerClient(access.url, sdk.newPipeline(credential, options))
}
