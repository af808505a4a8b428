import type { WorkloadId } from '../contract/ids.ts'
import type { Door } from '../runtime/door.ts'
import { type SinkCounts, serveSink } from '../sinks/serve.ts'
import type { EventSink, SinkSpec } from '../sinks/sink.ts'
import type { Served, SinkWorkload } from '../trigger-controller/world.ts'

type SinkResource = SinkWorkload['sink']

export interface SinkServersDeps {
  /** See `LocalDoor.open`. */
  readonly door: () => Promise<Door>
  /** @throws where settings or credentials cannot be right. */
  readonly open: (spec: SinkSpec<SinkResource>) => Promise<EventSink>
}

interface Server {
  readonly text: string
  readonly address: string
  readonly counts: SinkCounts
  readonly sink: EventSink
  /** Ends the taking of requests. */
  readonly stop: () => void
}

/** The sinks of the local world, each at `/sinks/<kind>/<namespace>/<name>` of the local door. */
export class SinkServers {
  readonly #deps: SinkServersDeps
  readonly #servers = new Map<WorkloadId, Server>()
  readonly #closing = new Set<Promise<void>>()

  constructor(deps: SinkServersDeps) {
    this.#deps = deps
  }

  /** Serves a sink, or no longer. The same one again changes nothing; a changed one takes over, and loses no request. */
  async apply(id: WorkloadId, workload: SinkWorkload | undefined): Promise<Served | undefined> {
    const before = this.#servers.get(id)
    if (workload === undefined) {
      this.#servers.delete(id)
      if (before !== undefined) this.#end(before)
      return undefined
    }
    const text = JSON.stringify({ ...workload, sink: { ...workload.sink, where: null } })
    if (before?.text === text) return { kind: 'served', address: before.address }
    const { sink: resource, credentials } = workload
    try {
      const door = await this.#deps.door()
      const sink = await this.#deps.open({ resource, credentials })
      const counts: SinkCounts = { sent: before?.counts.sent ?? 0, trouble: undefined }
      const path = `/sinks/${id}`
      const serving = door.serve(path, serveSink(sink, counts))
      const address = `${door.origin}${path}`
      this.#servers.set(id, { text, address, counts, sink, stop: () => serving[Symbol.dispose]() })
      if (before !== undefined) this.#end(before)
      return { kind: 'served', address }
    } catch (error) {
      return { kind: 'unserved', reason: error instanceof Error ? error.message : String(error) }
    }
  }

  address(id: WorkloadId): string | undefined {
    return this.#servers.get(id)?.address
  }

  counts(id: WorkloadId): Readonly<SinkCounts> | undefined {
    return this.#servers.get(id)?.counts
  }

  /** Ends all of them, when nothing is sent to them any more. Idempotent. */
  async close(): Promise<void> {
    for (const server of this.#servers.values()) this.#end(server)
    this.#servers.clear()
    await Promise.all(this.#closing)
  }

  #end({ stop, sink }: Server): void {
    stop()
    const ended = Promise.resolve(sink[Symbol.asyncDispose]())
    this.#closing.add(ended)
    void ended.finally(() => this.#closing.delete(ended))
  }
}
