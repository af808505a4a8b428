/**
 * How long a Retry-After header asks to wait, ms: whole seconds, or a date (RFC 9110 §10.2.3). Pure.
 * @returns undefined where there is none, or none that can be read. A date that has passed is 0.
 */
export function retryAfterMs(header: string | readonly string[] | undefined, nowMs: number): number | undefined {
  const text = (typeof header === 'string' ? header : header?.[0])?.trim()
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  // Dates begin with the name of a day; without that, `Date.parse` takes nearly anything for one.
  const atMs = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs)
}
