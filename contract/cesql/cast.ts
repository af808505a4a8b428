import type { TypeName, Value } from './expression.ts'

export const INTEGER_MIN = -(2 ** 31)
export const INTEGER_MAX = 2 ** 31 - 1

/** `value` as a value of `type` (CESQL 1.0 §3.7). Undefined where the cast fails: only a String can. */
export function cast(value: Value, type: TypeName): Value | undefined {
  switch (type) {
    case 'String':
      return toText(value)
    case 'Integer':
      return typeof value === 'string' ? textToInteger(value) : Number(value)
    case 'Boolean':
      return typeof value === 'string' ? textToBoolean(value) : Boolean(value)
    default:
      return type satisfies never
  }
}

/** Base 10 without leading zeros, `true` and `false` in lower case. */
export function toText(value: Value): string {
  return typeof value === 'string' ? value : String(value)
}

const INTEGER = /^[+-]?[0-9]+$/

/** A sign and digits, nothing else, that fit 32 bits. */
export function textToInteger(text: string): number | undefined {
  if (!INTEGER.test(text)) return undefined
  const integer = Number(text)
  return isInteger32(integer) ? integer | 0 : undefined
}

export function isInteger32(integer: number): boolean {
  return integer >= INTEGER_MIN && integer <= INTEGER_MAX
}

/** `true` and `false` in any case, nothing else. */
export function textToBoolean(text: string): boolean | undefined {
  if (text.length !== 4 && text.length !== 5) return undefined
  const word = text.toLowerCase()
  return word === 'true' ? true : word === 'false' ? false : undefined
}
