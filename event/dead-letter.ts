/** Why an event comes to a dead-letter sink. */
export interface DeliveryFailure {
  /** The address that did not take it. */
  readonly destination: string
  /** HTTP status; 500 for transport failures. */
  readonly code: number
  /** The response body, cut; the words of the error for transport failures. */
  readonly data: string
}

/** What a dead letter carries of the response body, in characters of base64. */
const DATA_MAX_CHARACTERS = 1024

/**
 * The attributes that a dead letter has beside its own (Knative delivery spec, "Error extension attributes").
 * `knativeerrordata` is base64 of the start of the body, cut so that it can be decoded, and is there even when empty.
 */
export function deadLetterAttributes({
  destination,
  code,
  data,
}: DeliveryFailure): Readonly<Record<string, string | number>> {
  const kept = Buffer.from(data, 'utf8').subarray(0, (DATA_MAX_CHARACTERS / 4) * 3)
  return {
    knativeerrordest: httpAddress(destination),
    knativeerrorcode: code,
    knativeerrordata: kept.toString('base64'),
  }
}

/** As Knative names a destination that cannot be called: `bad://uri` becomes `http://uri/`; others stay as they are. */
function httpAddress(address: string): string {
  const parts = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is.exec(address)
  if (parts === null || /^https?$/i.test(parts[1] ?? '')) return address
  return `http://${parts[2]}${parts[3] || '/'}`
}
