import type { Logger } from 'pino'

/**
 * Facts, one JSON object a line. Messages are constant; facts are fields. Never event data, never credentials.
 * `error` means that a person must act.
 */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** For tests and for parts that have nothing to say. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** A log of lines at `level` and above on standard error. Written synchronously: the last line before a crash is there. */
export async function openLog(level: LogLevel): Promise<Log> {
  if (level === 'silent') return silentLog
  const { pino } = await import('pino')
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: nameOfLevel } }
  const log: Log = pino(options, pino.destination({ fd: 2, sync: true }))
  return log
}

function nameOfLevel(label: string): { level: string } {
  return { level: label }
}
