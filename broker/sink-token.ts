import type { Trust } from '../contract/routes.ts'
import type { TokenSource } from '../contract/tokens.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Attempt, Deliver, DeliveryRequest } from './attempt.ts'

/** As `Deliver`, with a bearer token or without one. */
export type Post = (request: DeliveryRequest, token: string | undefined, signal: AbortSignal) => Promise<Attempt>

/** What is left of a deadline comes in steps of this, so that few lengths of deadlines are in use. */
const STEP_MS = 100

/**
 * Sends what goes to a sink with an audience with a token for it, and never without (Knative, OIDC). A token that the sink
 * does not take is replaced once within the attempt. Whatever waits for tokens is bounded by the attempt's deadline.
 */
export function withTokens(post: Post, tokens: TokenSource | undefined, clock: Clock): Deliver {
  return (request, signal) => {
    const { trust } = request
    if (trust?.audience === undefined) return post(request, undefined, signal)
    if (tokens === undefined) return Promise.resolve(withoutToken('this broker has none', trust.audience))
    return postWithToken(request, { ...trust, audience: trust.audience }, { post, tokens, clock }, signal)
  }
}

interface Means {
  readonly post: Post
  readonly tokens: TokenSource
  readonly clock: Clock
}

async function postWithToken(
  request: DeliveryRequest,
  { audience, subject }: Trust & { readonly audience: string },
  { post, tokens, clock }: Means,
  signal: AbortSignal,
): Promise<Attempt> {
  const startedMs = clock.monotonicMs()
  const tookMs = () => clock.monotonicMs() - startedMs
  const ask = async (): Promise<string | Attempt> => {
    const asked = tokens.token(audience, subject)
    if (typeof asked === 'string') return asked
    const given = await within(asked, request.timeoutMs - tookMs(), clock, signal)
    if (given === 'abandoned') return { kind: 'abandoned', tookMs: tookMs() }
    if (given === 'late') return withoutToken('none came in time', audience, tookMs())
    return given.token ?? withoutToken('none can be had now', audience, tookMs())
  }
  const send = async (token: string): Promise<Attempt> => {
    const beforeMs = tookMs()
    const leftMs = Math.ceil((request.timeoutMs - beforeMs) / STEP_MS) * STEP_MS
    const attempt = await post(beforeMs < 1 ? request : { ...request, timeoutMs: leftMs }, token, signal)
    return beforeMs < 1 ? attempt : { ...attempt, tookMs: tookMs() }
  }

  const first = await ask()
  if (typeof first !== 'string') return first
  const attempt = await send(first)
  if (attempt.kind !== 'answered' || attempt.status !== 401 || tookMs() >= request.timeoutMs) return attempt
  let second = await ask()
  if (second === first) {
    // Of many attempts that are refused at once the first one renews the token for all.
    tokens.refresh(audience, subject)
    second = await ask()
  }
  if (typeof second !== 'string') return second
  return second === first || tookMs() >= request.timeoutMs ? attempt : await send(second)
}

/** The token; undefined where there is none; why it was not waited for any longer. */
async function within(
  asked: Promise<string | undefined> | undefined,
  withinMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ readonly token: string | undefined } | 'late' | 'abandoned'> {
  const { promise: ended, resolve } = Promise.withResolvers<'late' | 'abandoned'>()
  const stop = clock.after(withinMs, () => resolve('late'))
  const abandon = () => resolve('abandoned')
  signal.addEventListener('abort', abandon, { once: true })
  if (signal.aborted) abandon()
  try {
    return await Promise.race([ended, Promise.resolve(asked).then(token => ({ token }))])
  } finally {
    stop()
    signal.removeEventListener('abort', abandon)
  }
}

function withoutToken(why: string, audience: string, tookMs = 0): Attempt {
  const what = `the sink wants a token (audience ${audience}), and ${why}`
  const reason = `${what}: turn OIDC on where Weir runs, or take the audience from the sink`
  return { kind: 'unreachable', tookMs, cause: 'token', reason }
}
