import { isMediaType, isMimeToken } from './media-type.ts'

/** Why something that claims to be a CloudEvent is none. `reason` names attributes, and never quotes values or data. */
export interface Fault {
  readonly kind: 'invalid'
  /** Stable: senders may depend on it. */
  readonly code: FaultCode
  readonly reason: string
}

export type FaultCode =
  | 'duplicate-header'
  | 'invalid-attribute-name'
  | 'invalid-attribute-value'
  | 'missing-attribute'
  | 'unsupported-specversion'
  | 'unsupported-format'
  | 'invalid-json'
  | 'invalid-data'

export function fault(code: FaultCode, reason: string): Fault {
  return { kind: 'invalid', code, reason }
}

/**
 * Context attributes under construction. They inherit nothing, because strangers choose the names. Made by a constructor
 * rather than `Object.create(null)`, whose objects are hash tables: those cost twice as much to go through and to put in JSON.
 */
export function noAttributes(): Record<string, string> {
  return new Bare()
}

const Bare = function Bare() {} as unknown as new () => Record<string, string>
Bare.prototype = Object.freeze(Object.create(null))

/** CloudEvents 1.0 §3.1, "Naming conventions". Of any length: 20 characters are only recommended. */
export function isAttributeName(name: string): boolean {
  return /^[a-z0-9]+$/.test(name) && name !== 'data'
}

/** Whether `value` has a character that no String of the CloudEvents type system may have (CloudEvents 1.0 §3.2). */
export function hasForbiddenCharacter(value: string): boolean {
  return /[^ -~]/.test(value) && FORBIDDEN.test(value)
}

/**
 * What is wrong with the attributes as a whole, their names and characters apart (CloudEvents 1.0 §3.3 and §3.4; 0.3,
 * "Context Attributes").
 */
export function attributesFault(attributes: Readonly<Record<string, string>>): Fault | undefined {
  const { specversion, id, source, type, time, subject, datacontenttype } = attributes
  if (!specversion) return missing('specversion')
  if (specversion !== '1.0' && specversion !== '0.3') {
    return fault('unsupported-specversion', 'specversion is neither 1.0 nor 0.3')
  }
  if (!id) return missing('id')
  if (!source) return missing('source')
  if (!type) return missing('type')
  if (time !== undefined && !isTimestamp(time)) return wrong('time', 'is no RFC 3339 timestamp')
  if (subject === '') return wrong('subject', 'is empty; leave it out instead')
  if (datacontenttype !== undefined && !isMediaType(datacontenttype))
    return wrong('datacontenttype', 'is no media type')
  return schemaFault(attributes, specversion)
}

/** `name` for a message: cut, and only printable ASCII. */
export function quotedName(name: string): string {
  return `"${name.slice(0, 40).replace(/[^!#-~]/g, '?')}"`
}

function schemaFault(attributes: Readonly<Record<string, string>>, specversion: string): Fault | undefined {
  if (specversion === '1.0') {
    const { dataschema } = attributes
    return dataschema === undefined || ABSOLUTE_URI.test(dataschema)
      ? undefined
      : wrong('dataschema', 'is no absolute URI')
  }
  const { schemaurl, datacontentencoding } = attributes
  if (schemaurl === '') return wrong('schemaurl', 'is empty; leave it out instead')
  if (schemaurl !== undefined && !URI_REFERENCE.test(schemaurl)) return wrong('schemaurl', 'is no URI reference')
  if (datacontentencoding !== undefined && !isMimeToken(datacontentencoding)) {
    return wrong('datacontentencoding', 'is no mechanism of RFC 2045 §6.1')
  }
  return undefined
}

const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]/u
/** RFC 3986 §4.3, loosely: a scheme, something after it, and no character that a URI cannot have. */
const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[^\s"<>\\^`{|}]+$/
/** RFC 3986 §4.1, as loosely. */
const URI_REFERENCE = /^[^\s"<>\\^`{|}]+$/
const TIMESTAMP =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** RFC 3339 §5.6, of any precision; days that a month does not have are refused, and leap seconds are not. */
function isTimestamp(text: string): boolean {
  if (!TIMESTAMP.test(text)) return false
  const day = Number(text.slice(8, 10))
  return day <= 28 || day <= daysIn(Number(text.slice(0, 4)), Number(text.slice(5, 7)))
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function missing(name: string): Fault {
  return fault('missing-attribute', `${name} is missing or empty`)
}

function wrong(name: string, what: string): Fault {
  return fault('invalid-attribute-value', `${name} ${what}`)
}
