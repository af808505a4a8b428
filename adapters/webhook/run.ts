import { type WebhookSourceResource, webhookPath } from '../../crds/webhook-source.ts'
import type { CloudEvent } from '../../event/event.ts'
import { type DoorAnswer, type DoorRequest, doorProblem } from '../../runtime/door.ts'
import { type AdapterDeps, DRAIN_MS, type Refused, type RunAdapter } from '../adapter.ts'
import { type Checked, checkSignature, checkToken } from './checks.ts'
import { ALLOW, handshake, validation } from './handshake.ts'
import { type Said, saidBy } from './request.ts'
import { toEvents } from './to-events.ts'

/** A sender waits for the sink this long; then it is told to send again. Event Grid gives up after 30 s. */
const SLOW_MS = 20_000
/** Requests that wait for the sink; more are told to send again. */
const MOST_HELD = 100
const AGAIN_S = 5

/**
 * Requests at `/webhooks/<namespace>/<name>` become events, and are answered 2xx once somebody has those for good: the sink,
 * or the dead-letter sink. Whoever sends is the one who keeps them until then, so that trouble is answered 503, and what
 * nobody will ever take 422.
 * @throws where this process takes no requests.
 */
export const runWebhook: RunAdapter<WebhookSourceResource> = async ({ source, credentials }, deps, signal) => {
  if (deps.door === undefined) throw new Error('this process has no door for requests from outside')
  const door = await deps.door()
  const webhook = new Webhook(source, credentials, deps, signal)
  using _ = door.serve(webhookPath(source.metadata), request => webhook.take(request))
  await webhook.run()
}

class Webhook {
  readonly #source: WebhookSourceResource
  readonly #credentials: Readonly<Record<string, string>>
  readonly #deps: AdapterDeps
  readonly #stop: AbortSignal
  readonly #end = new AbortController()
  readonly #held = new Set<Promise<unknown>>()
  #emitted = 0
  #error: string | undefined

  constructor(
    source: WebhookSourceResource,
    credentials: Readonly<Record<string, string>>,
    deps: AdapterDeps,
    stop: AbortSignal,
  ) {
    this.#source = source
    this.#credentials = credentials
    this.#deps = deps
    this.#stop = stop
  }

  /** Resolves when it was told to stop and has answered what it holds. */
  async run(): Promise<void> {
    const { clock, drainMs = DRAIN_MS } = this.#deps
    this.#tell(undefined)
    if (!this.#stop.aborted) await new Promise(resolve => this.#stop.addEventListener('abort', resolve, { once: true }))
    const cancel = clock.after(drainMs, () => this.#end.abort(new Error('the adapter stops')))
    await Promise.allSettled(this.#held)
    cancel()
  }

  async take(request: DoorRequest): Promise<DoorAnswer> {
    const said = saidBy(request.rawHeaders, request.query, undefined)
    if (request.method === 'OPTIONS') return handshake(said)
    const refusal = this.#refusalOf(request, said)
    if (refusal !== undefined) return refusal
    if (this.#source.spec.preset === 'eventgrid') {
      const answer = validation(said, request.body)
      if (answer !== undefined) return answer
    }
    const read = toEvents(request, this.#source, () => this.#randomId())
    if (read.kind === 'unreadable')
      return this.#no(doorProblem(400, 'unreadable', `${capital(read.reason)}.`), read.reason)
    if (this.#stop.aborted) return again('Weir is stopping.')
    if (this.#held.size >= MOST_HELD) return again('Too many requests wait for the sink.')
    const answered = this.#emit(read.events)
    this.#held.add(answered)
    this.#tell(this.#error)
    return answered.finally(() => {
      this.#held.delete(answered)
      this.#tell(this.#error)
    })
  }

  /** Why a request is none of ours, before its body is looked into. */
  #refusalOf({ method, body }: DoorRequest, said: Said): DoorAnswer | undefined {
    if (method !== 'POST' && method !== 'PUT') {
      const answer = doorProblem(405, 'method-not-allowed', 'Send it with POST.')
      return { ...answer, headers: { ...answer.headers, allow: ALLOW } }
    }
    const [coding] = said.header('content-encoding')
    if (coding !== undefined && coding.toLowerCase() !== 'identity')
      return doorProblem(415, 'unsupported-encoding', 'Send it without Content-Encoding.')
    const checked = this.#check(said, body)
    if (checked.kind === 'unknown')
      return this.#no(doorProblem(401, 'unknown-sender', `${capital(checked.reason)}.`), checked.reason)
    const [contentType = ''] = said.header('content-type')
    if (this.#source.spec.preset === 'github' && /^application\/x-www-form-urlencoded\b/i.test(contentType))
      return doorProblem(415, 'not-json', "Choose application/json as the webhook's content type at GitHub.")
    return undefined
  }

  #check(said: Said, body: Uint8Array): Checked {
    const { signature, token } = this.#source.spec
    const secret = (name: string) => this.#credentials[name] ?? ''
    const signed = signature && checkSignature(signature, secret('signature'), said, body, this.#deps.clock.nowMs())
    if (signed?.kind === 'unknown') return signed
    return (token && checkToken(token, secret('token'), said)) ?? { kind: 'known' }
  }

  async #emit(events: readonly CloudEvent[]): Promise<DoorAnswer> {
    const { clock, log } = this.#deps
    const slow = new AbortController()
    const cancel = clock.after(SLOW_MS, () => slow.abort(new Error('the sink is slow')))
    const signal = AbortSignal.any([slow.signal, this.#end.signal])
    try {
      const refused = await this.#emitAll(events, signal)
      if (refused === undefined) {
        this.#error = undefined
        return { status: 202 }
      }
      log.error({ source: this.#name, reason: refused.reason }, 'the sink refuses an event')
      return this.#no(doorProblem(422, 'refused', `The sink ${refused.reason}.`), `the sink ${refused.reason}`)
    } catch (error) {
      if (!signal.aborted || error !== signal.reason) throw error
      return again('The sink has not taken it yet.')
    } finally {
      cancel()
    }
  }

  /** Offers every event, also those behind one that is refused. The first refusal, if there is one. */
  async #emitAll(events: readonly CloudEvent[], signal: AbortSignal): Promise<Refused | undefined> {
    let first: Refused | undefined
    for (let rest = events; rest.length > 0; ) {
      const { taken, refused } = await this.#deps.emitInOrder(rest, signal)
      this.#emitted += taken
      if (refused === undefined) break
      first ??= refused
      rest = rest.slice(taken + 1)
    }
    return first
  }

  /** Says no, and says so in the source's status until something goes well. */
  #no(answer: DoorAnswer, reason: string): DoorAnswer {
    this.#tell(`the last request was refused: ${reason}`)
    return answer
  }

  /** 128 bits, behind the time, so that ids of one source sort. */
  #randomId(): string {
    const { clock, random } = this.#deps
    const word = () =>
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return `${clock.nowMs().toString(36)}-${word()}${word()}${word()}${word()}`
  }

  get #name(): string {
    const { namespace, name } = this.#source.metadata
    return `${namespace}/${name}`
  }

  #tell(error: string | undefined): void {
    this.#error = error
    this.#deps.report({ ready: true, error, held: this.#held.size, emitted: this.#emitted })
  }
}

function again(detail: string): DoorAnswer {
  return doorProblem(503, 'not-taken-yet', `${detail} Send it again in a moment: it counts once.`, AGAIN_S)
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
