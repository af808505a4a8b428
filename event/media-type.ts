const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
/** RFC 2045 §5.1: also with braces, which RFC 9110 took out. */
const MIME_TOKEN = /^[!#$%&'*+.^_`{|}~0-9A-Za-z-]+$/
const QUOTED = '"(?:[\\t !#-\\[\\]-~]|\\\\[\\t -~])*"'
const MEDIA_TYPE = new RegExp(`^${TOKEN}/${TOKEN}(?:[ \\t]*;(?:[ \\t]*${TOKEN}=(?:${TOKEN}|${QUOTED}))?)*[ \\t]*$`)

/** Whether `text` is a media type with parameters (RFC 2046, RFC 9110 §8.3.1); an empty parameter is forgiven. */
export function isMediaType(text: string): boolean {
  return text === 'application/json' || MEDIA_TYPE.test(text)
}

/** Whether `text` may name a content-transfer-encoding (RFC 2045 §6.1): one that is known, or one that may come. */
export function isMimeToken(text: string): boolean {
  return MIME_TOKEN.test(text)
}

/** JSON by the rule of the CloudEvents JSON format §3.1: `*` `/json` or `*` `/…+json`, parameters apart. */
export function isJsonType(mediaType: string): boolean {
  const essence = essenceOf(mediaType)
  return essence.endsWith('/json') || essence.endsWith('+json')
}

/** `text/…` whose characters are UTF-8, or ASCII, as far as it says. */
export function isUtf8TextType(mediaType: string): boolean {
  const essence = essenceOf(mediaType)
  if (!essence.startsWith('text/')) return false
  const charset = /;[ \t]*charset="?([^";]*)/i.exec(mediaType)?.[1]?.trim().toLowerCase()
  return charset === undefined || charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii'
}

/** What a Content-Type says about the CloudEvent in the message (CloudEvents HTTP binding §3). */
export type ContentMode = 'structured-json' | 'structured-other' | 'batch' | 'frames' | 'binary'

/** How several events are put in one message. */
export type BatchFormat = 'json' | 'frames'

export function contentModeOf(contentType: string): ContentMode {
  if (contentType.length < CLOUDEVENTS.length) return 'binary'
  if (contentType === FRAMES_TYPE) return 'frames'
  if (contentType.slice(0, CLOUDEVENTS.length).toLowerCase() !== CLOUDEVENTS) return 'binary'
  const essence = essenceOf(contentType)
  if (essence === `${CLOUDEVENTS}+json`) return 'structured-json'
  return essence === `${CLOUDEVENTS}-batch+json` ? 'batch' : 'structured-other'
}

const CLOUDEVENTS = 'application/cloudevents'
/**
 * Events in binary mode, several in one message, for Brokers of ours. Only in this spelling: whoever writes it in another way has
 * not read `frames.ts`.
 */
export const FRAMES_TYPE = 'application/vnd.weir.events'

/** `type/subtype` in lower case, without parameters. */
function essenceOf(mediaType: string): string {
  const end = mediaType.indexOf(';')
  return (end < 0 ? mediaType : mediaType.slice(0, end)).trim().toLowerCase()
}
