/**
 * Header fields of a message that travel with its event to the subscriber, and with a reply back to the Broker: request ids,
 * `knative-…`, and the contexts of traces (Knative data plane spec, header propagation; B3; W3C Trace Context, whose fields
 * a system that records no spans of its own hands on unchanged). Everything else, credentials above all, stays behind.
 */
export type Passed = Readonly<Record<string, string>>

/** More are left behind: a subscriber takes 8 KiB of header fields at least, and the event's own come first. */
const FIELDS_MAX = 32
const BYTES_MAX = 4096
/** What any server reads the same way (RFC 9110 §5.5). */
const PLAIN = /^[\t -~]*$/

/** The field's name in lower case where it travels. Called for every header of every request. */
export function passedName(name: string): string | undefined {
  switch (name.charCodeAt(0) | 0x20) {
    case LETTER_X:
      if (name.length > 5 && name.charCodeAt(1) === DASH) return known(name, isRequestIdOrB3)
      return undefined
    case LETTER_K:
      return name.length > 8 ? known(name, isKnative) : undefined
    case LETTER_T:
      return name.length === 11 || name.length === 10 ? known(name, isTrace) : undefined
    case LETTER_B:
      return name.length === 7 ? known(name, isBaggage) : undefined
    default:
      return undefined
  }
}

/** Adds one field, if there is room. A second one of a list is joined to the first, any other second one is left out. */
export function addPassed(passed: Record<string, string>, name: string, value: string): void {
  const before = passed[name]
  if (before !== undefined) {
    if (name === 'traceparent') passed[name] = '' // two of them are none
    if (name !== 'tracestate' && name !== 'baggage') return
  }
  let fields = before === undefined ? 1 : 0
  let bytes = name.length + value.length
  for (const other in passed) {
    fields++
    bytes += other.length + (passed[other]?.length ?? 0)
  }
  if (fields > FIELDS_MAX || bytes > BYTES_MAX || !PLAIN.test(value)) return
  passed[name] = before === undefined ? value : `${before},${value}`
}

/** What travels: without a trace context that is none (W3C Trace Context §3.2.2.3, §3.3). Undefined where nothing is left. */
export function checkedPassed(passed: Record<string, string>): Passed | undefined {
  const parent = passed.traceparent
  if (parent === undefined || !isTraceparent(parent)) {
    delete passed.traceparent
    delete passed.tracestate
  }
  return Object.keys(passed).length > 0 ? passed : undefined
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/

function isTraceparent(value: string): boolean {
  const [, version, trace, parent, rest] = TRACEPARENT.exec(value) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && rest !== undefined)) return false
  return !/^0+$/.test(trace ?? '0') && !/^0+$/.test(parent ?? '0')
}

function known(name: string, test: (lower: string) => boolean): string | undefined {
  const lower = name.toLowerCase()
  return test(lower) ? lower : undefined
}

const isRequestIdOrB3 = (name: string) => name === 'x-request-id' || name.startsWith('x-b3-')
const isKnative = (name: string) => name.startsWith('knative-')
const isTrace = (name: string) => name === 'traceparent' || name === 'tracestate'
const isBaggage = (name: string) => name === 'baggage'

const LETTER_X = 0x78
const LETTER_K = 0x6b
const LETTER_T = 0x74
const LETTER_B = 0x62
const DASH = 0x2d
