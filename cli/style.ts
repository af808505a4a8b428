import { styleText } from 'node:util'

export type Tone = 'good' | 'bad' | 'warn' | 'dim' | 'strong'
/** Colours `text`, or leaves it where there is no terminal to see it. */
export type Paint = (tone: Tone | undefined, text: string) => string

const FORMATS = { good: 'green', bad: 'red', warn: 'yellow', dim: 'dim', strong: 'bold' } as const

/** Colours only on a terminal; NO_COLOR and FORCE_COLOR are honoured. */
export function paintFor(stream: NodeJS.WriteStream): Paint {
  return (tone, text) => (tone === undefined || text === '' ? text : styleText(FORMATS[tone], text, { stream }))
}

/**
 * `text` without the characters by which a stranger's event could move the cursor, change colours or reverse the writing
 * of a terminal.
 */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, '�')
}

/** Columns that `text` takes. Letters of East Asia and emoji take two. */
export function widthOf(text: string): number {
  let width = 0
  for (const letter of text) {
    if (/\p{Mn}|\p{Me}/u.test(letter)) continue
    width += WIDE.test(letter) ? 2 : 1
  }
  return width
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
