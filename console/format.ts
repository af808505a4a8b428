/** Numbers, times and foreign text as people read them. Whatever cannot be known is a question mark, never a zero. */

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', {
  notation: 'compact',
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
})

/** Exact up to 99,999, then three digits: `123K`, `1.23M`. */
export function count(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '?'
  return Math.abs(value) < 100_000 ? grouped.format(value) : short.format(value)
}

/** Per second: one decimal below 10, because 0.4 a second is not nothing. */
export function rate(perSecond: number): string {
  if (!Number.isFinite(perSecond)) return '?'
  if (perSecond > 0 && perSecond < 0.05) return '<0.1'
  if (perSecond === 0 || perSecond >= 9.95) return count(Math.round(perSecond))
  return perSecond.toFixed(1)
}

/** How long ago or how old, in the two units that matter at most. A clock that went back is 0. */
export function age(ms: number): string {
  if (!Number.isFinite(ms)) return '?'
  const seconds = Math.floor(Math.max(0, ms) / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return `${minutes} min${tail(seconds % 60, 's')}`
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours} h${tail(minutes % 60, 'min')}`
  return `${Math.floor(hours / 24)} d${tail(hours % 24, 'h')}`
}

function tail(rest: number, unit: string): string {
  return rest === 0 ? '' : ` ${rest} ${unit}`
}

/** How long something took: `8 ms`, `1.2 s`, `1 min 5 s`. */
export function took(ms: number): string {
  if (!Number.isFinite(ms)) return '?'
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`
  return ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : age(ms)
}

export function bytes(size: number): string {
  if (!Number.isFinite(size)) return '?'
  if (size < 1024) return `${size} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB'] as const
  let left = size / 1024
  let at = 0
  while (left >= 1023.95 && at < units.length - 1) {
    left /= 1024
    at++
  }
  return `${left < 9.95 ? left.toFixed(1) : Math.round(left)} ${units[at]}`
}

/** Time of day where the reader is, to the millisecond: `09:05:07.042`. */
export function timeOfDay(ms: number): string {
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return '?'
  const two = (value: number) => String(value).padStart(2, '0')
  const millis = String(date.getMilliseconds()).padStart(3, '0')
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`
}

/** The whole instant, for a tooltip: ISO 8601 in UTC. */
export function instant(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString()
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}

/**
 * Controls, characters that turn the direction of writing around (Unicode TR #9 §2), invisible ones, and halves of
 * surrogate pairs: with them an event could show one name and carry another.
 */
const deceptive =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what it looks for.
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}/gu

/** Foreign text made safe to look at: every deceptive character by its code, and no more than `most` characters. */
export function visible(text: string, most = 200): string {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text
  return cut.replace(deceptive, char => `⟨${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`)
}
