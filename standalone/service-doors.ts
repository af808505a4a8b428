import { request } from 'node:http'
import type { WorkloadId } from '../contract/ids.ts'
import type { Endpoint, Target } from '../contract/routes.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Door, type DoorAnswer, type DoorRequest, doorProblem } from '../runtime/door.ts'
import { isLoopback } from '../runtime/status-server.ts'

export interface ServiceDoorsDeps {
  readonly clock: Clock
  readonly door: () => Promise<Door>
  /** The replicas of a workload that can be reached now. */
  readonly endpoints: (workload: WorkloadId) => readonly Endpoint[]
}

type Workload = Extract<Target, { kind: 'workload' }>

/** Of a replica's answer; a sender needs its status and little more. */
const ANSWER_MAX_BYTES = 1 << 20
/** A request that a replica has for longer is given up. */
const ANSWER_MAX_MS = 60_000
const AGAIN_S = 1
/** Of one connection, and so not passed on (RFC 9110 §7.6.1). */
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'proxy-connection']
const NOT_PASSED = new Set([...HOP_BY_HOP, 'host', 'content-length', 'expect'])

/**
 * Addresses for the Services of a laptop, on which the names of a cluster lead nowhere and replicas come and go with their
 * ports: each is a path of the local door, `/services/<namespace>/<name>`, that stays. A request goes to one of the replicas
 * that are ready, in turn; while there is none it is answered 503.
 */
export class ServiceDoors {
  readonly #deps: ServiceDoorsDeps
  readonly #open = new Map<string, Workload>()
  #turn = 0

  constructor(deps: ServiceDoorsDeps) {
    this.#deps = deps
  }

  /** The address of `target` here; it leads to its replicas from now on, whichever Deployment they are of later. */
  async address(target: Workload): Promise<string> {
    const door = await this.#deps.door()
    const { hostname, pathname, search } = new URL(target.address)
    const [name = '', namespace = ''] = hostname.split('.')
    const path = `/services/${namespace}/${name}${pathname === '/' ? '' : pathname}`
    if (!this.#open.has(path)) door.serve(path, asked => this.#pass(path, pathname, asked))
    this.#open.set(path, target)
    return `${door.origin}${path}${search}`
  }

  async #pass(path: string, pathname: string, asked: DoorRequest): Promise<DoorAnswer> {
    // A page elsewhere can point a name of its own at 127.0.0.1 and read a Service through it; its Host gives it away.
    const host = pairs(asked.rawHeaders).find(([name]) => name.toLowerCase() === 'host')?.[1] ?? ''
    if (!URL.canParse(`http://${host}`) || !isLoopback(new URL(`http://${host}`).hostname))
      return doorProblem(421, 'host-not-local', 'Services are reached from this machine only: ask for 127.0.0.1.')
    const target = this.#open.get(path)
    const ready = target === undefined ? [] : this.#deps.endpoints(target.workload).filter(one => one.state === 'ready')
    const endpoint = ready[this.#turn++ % Math.max(1, ready.length)]
    if (endpoint === undefined)
      return doorProblem(503, 'no-replica', `No replica of ${target?.workload ?? path} is ready now.`, AGAIN_S)
    const url = `${endpoint.origin}${pathname}${asked.query === '' ? '' : `?${asked.query}`}`
    const slow = new AbortController()
    const cancel = this.#deps.clock.after(ANSWER_MAX_MS, () => slow.abort(new Error('it took too long')))
    const signal = AbortSignal.any([asked.signal, slow.signal])
    return passOn(url, asked, signal)
      .catch((error: unknown) => {
        const cause: unknown = signal.aborted ? signal.reason : error
        const why = cause instanceof Error ? cause.message : String(cause)
        return doorProblem(502, 'replica-failed', `${endpoint.id} did not answer: ${why}.`)
      })
      .finally(cancel)
  }
}

function passOn(url: string, { method, rawHeaders, body }: DoorRequest, signal: AbortSignal): Promise<DoorAnswer> {
  return new Promise((resolve, reject) => {
    // To a list of headers Node adds none of its own.
    const headers = [...passed(rawHeaders), 'host', new URL(url).host, 'content-length', `${body.byteLength}`]
    const asked = request(url, { method, headers, signal, agent: false }, response => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength
        if (bytes > ANSWER_MAX_BYTES) asked.destroy(new Error(`it answered more than ${ANSWER_MAX_BYTES} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        const answered = Object.fromEntries(pairs(passed(response.rawHeaders)))
        resolve({ status: response.statusCode ?? 502, headers: answered, body: Buffer.concat(chunks) })
      })
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

function passed(rawHeaders: readonly string[]): string[] {
  return pairs(rawHeaders)
    .filter(([name]) => !NOT_PASSED.has(name.toLowerCase()))
    .flat()
}

function pairs(flat: readonly string[]): (readonly [string, string])[] {
  const found: (readonly [string, string])[] = []
  for (let i = 0; i + 1 < flat.length; i += 2) found.push([flat[i] ?? '', flat[i + 1] ?? ''])
  return found
}
