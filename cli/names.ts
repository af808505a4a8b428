import { Failure } from './failure.ts'

const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/

/** `NAME` or `NAMESPACE/NAME` as the path of the API has it. @throws {Failure} */
export function pathOfName(text: string, what: string): string {
  const parts = text.includes('/') ? text.split('/') : ['default', text]
  const [namespace = '', name = ''] = parts
  if (parts.length === 2 && NAME.test(namespace) && NAME.test(name)) return `${namespace}/${name}`
  throw new Failure('wrongInput', `${what} is NAME or NAMESPACE/NAME, not ${JSON.stringify(text)}`)
}

/** Seqs, as lists print them. @throws {Failure} */
export function seqsOf(words: readonly string[]): number[] {
  return words.map(word => {
    if (/^\d{1,15}$/.test(word) && Number(word) > 0) return Number(word)
    throw new Failure(
      'wrongInput',
      `${JSON.stringify(word)} is no seq: it is the number in the first column of the list`,
    )
  })
}

/** Epoch ms of a time (RFC 3339), a date, or an age such as `15m`, `2h`, `1d`. @throws {Failure} */
export function timeOf(text: string, nowMs: number): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  if (amount !== undefined) return nowMs - Number(amount) * (UNITS_MS[unit ?? ''] ?? 0)
  const ms = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2})?)?$/.test(text) ? Date.parse(text) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  throw new Failure(
    'wrongInput',
    `${JSON.stringify(text)} is no time`,
    'write 2026-01-31T08:00:00Z, 2026-01-31, or an age such as 15m, 2h, 1d',
  )
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
