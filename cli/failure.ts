/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, wrongInput: 2 } as const

/** Why a command cannot do its work: one line what and where, and one line what to try. */
export class Failure extends Error {
  readonly code: 'failed' | 'wrongInput'
  readonly advice: string | undefined

  constructor(code: 'failed' | 'wrongInput', message: string, advice?: string) {
    super(message)
    this.name = 'Failure'
    this.code = code
    this.advice = advice
  }
}
