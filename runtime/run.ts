import type { Clock } from './clock.ts'
import type { Outside, StopSignal } from './outside.ts'

export interface Program<T extends AsyncDisposable> {
  /**
   * Opens everything. `fatal` ends the program with code 1 when no promise can be kept any more. A signal that comes while
   * this runs is obeyed as soon as it has resolved, or at once if it gives up because `stopping` aborted.
   */
  open(fatal: (error: Error) => void, stopping: AbortSignal): Promise<T>
  /** It is open, and works until a signal comes. */
  running(opened: T): void
  /** A signal or a failure has come; what is open will now be closed. */
  stopping(opened: T, why: Why): void
  /**
   * A second signal came, or closing took longer than `deadlineMs`: leave nothing behind, at once. What is still open would
   * keep the process alive, so the caller of `run` ends it with `Outside.exit`.
   */
  force(opened: T | undefined): void
  readonly deadlineMs: number
}

export type Why =
  | { readonly kind: 'signal'; readonly signal: StopSignal }
  | { readonly kind: 'failed'; readonly error: Error }

/** Closing was cut short by a second signal: 128 + SIGINT, as shells count. */
export const FORCED = 130

/**
 * The life of a program: open, work until a signal, close within a deadline.
 * @returns the exit code: 0 after an orderly end, 1 after a failure or a missed deadline, `FORCED` when a person insisted.
 * @throws what `open` throws.
 */
export async function run<T extends AsyncDisposable>(
  program: Program<T>,
  outside: Pick<Outside, 'clock' | 'onSignal'>,
): Promise<number> {
  const stopping = new AbortController()
  let opened: T | undefined
  let insist = () => {}
  const insisted = new Promise<'insisted'>(resolve => {
    insist = () => resolve('insisted')
  })
  const why = Promise.withResolvers<Why>()
  const forget = outside.onSignal(signal => {
    if (stopping.signal.aborted) return insist()
    stopping.abort()
    why.resolve({ kind: 'signal', signal })
  })
  try {
    const opening = program.open(error => why.resolve({ kind: 'failed', error }), stopping.signal)
    const early = await Promise.race([opening, insisted])
    if (early === 'insisted') {
      program.force(undefined)
      return FORCED
    }
    opened = early
    if (!stopping.signal.aborted) program.running(opened)

    const reason = await why.promise
    stopping.abort() // From here on a signal is the second one.
    program.stopping(opened, reason)
    const end = await firstOf(opened[Symbol.asyncDispose](), insisted, program.deadlineMs, outside.clock)
    if (end !== 'closed') program.force(opened)
    if (end === 'insisted') return FORCED
    return end === 'closed' && reason.kind === 'signal' ? 0 : 1
  } finally {
    forget()
  }
}

async function firstOf(
  closing: PromiseLike<void>,
  insisted: Promise<'insisted'>,
  deadlineMs: number,
  clock: Clock,
): Promise<'closed' | 'insisted' | 'late'> {
  const late = Promise.withResolvers<'late'>()
  const cancel = clock.after(deadlineMs, () => late.resolve('late'))
  const closed = Promise.resolve(closing).then(() => 'closed' as const)
  try {
    return await Promise.race([closed, insisted, late.promise])
  } finally {
    cancel()
  }
}
