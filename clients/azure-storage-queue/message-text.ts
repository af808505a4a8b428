const TEXT = /<MessageText(?:\s*\/>|>([^<]*)<\/MessageText>)/g
const REFERENCE = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos));/gi
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/**
 * The message texts of a response in XML, in order, exact to the character (XML 1.0 §2.11, §4.1): the SDK's parser leaves
 * numeric references such as `&#xD;` undecoded, and afterwards nothing tells them from a text that reads so.
 * @returns undefined where the SDK's own reading is right.
 */
export function exactTexts(xml: string): string[] | undefined {
  if (!xml.includes('&#')) return undefined
  return [...xml.matchAll(TEXT)].map(([, text = '']) => decoded(text.replace(/\r\n?/g, '\n')))
}

function decoded(text: string): string {
  return text.replace(REFERENCE, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole
    const point = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal)
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole
  })
}
