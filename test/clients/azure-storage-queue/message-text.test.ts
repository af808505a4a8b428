import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { exactTexts } from '../../../clients/azure-storage-queue/message-text.ts'

const xmlOf = (texts: readonly string[]) =>
  `<QueueMessagesList>${texts.map(text => `<QueueMessage><MessageText>${text}</MessageText></QueueMessage>`).join('')}</QueueMessagesList>`

test('a response without numeric references is left to the parser of the SDK', () => {
  assert.equal(exactTexts(xmlOf(['a &amp; b', ''])), undefined)
})

test('a reference to a character is that character, and a text that only looks like one is not', () => {
  const xml = xmlOf(['one&#xD;\ntwo', '&amp;#xD;', '&#13;&lt;&quot;&apos;&gt;', 'raw\r\nbreak']).replace(
    '</QueueMessagesList>',
    '<QueueMessage><MessageText /></QueueMessage></QueueMessagesList>',
  )
  assert.deepEqual(exactTexts(xml), ['one\r\ntwo', '&#xD;', '\r<"\'>', 'raw\nbreak', ''])
})

test('every text comes back from the XML that stands for it', () => {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
  const written = (text: string) =>
    text.replace(/[&<>\r]/g, found => named[found] ?? '&#xD;').replace(/[^ -~\n]/gu, c => `&#${c.codePointAt(0)};`)
  const texts = fc.array(
    fc.string({ unit: fc.oneof(fc.constantFrom('&', '#', 'x', 'D', ';', '\r', '\n'), fc.string()) }),
  )
  fc.assert(
    fc.property(texts, all => {
      const wellFormed = all.map(text => text.toWellFormed())
      assert.deepEqual(exactTexts(`${xmlOf(wellFormed.map(written))}<!-- &#x0; -->`), wellFormed)
    }),
  )
})

test('a reference to no character at all stays as it is', () => {
  assert.deepEqual(exactTexts(xmlOf(['&#x110000;', '&#9999999;'])), ['&#x110000;', '&#9999999;'])
})
