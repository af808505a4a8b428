import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toEvents } from '../../../adapters/webhook/to-events.ts'
import { parseManifest } from '../../../crds/manifest.ts'
import { attributesFault, hasForbiddenCharacter } from '../../../event/attributes.ts'
import { toStructured } from '../../../event/convert.ts'

const EVENT =
  'event: {id: "{body.id}", type: "{header.x-type}", source: "{query.source}", subject: "{body.s[0].t}", time: "{body.time}"}'

const sources = ['', 'preset: github', 'preset: registry', 'preset: eventgrid', EVENT, `${EVENT}, split: rows`].map(
  spec => {
    const text = `{apiVersion: sources.weir.dev/v1alpha1, kind: WebhookSource, metadata: {name: w}, spec: {${spec === '' ? '' : `${spec}, `}sink: {uri: "http://x/"}, ceOverrides: {extensions: {team: blue}}}}`
    const [source] = parseManifest(text, 'a.yaml').resources
    assert.ok(source?.kind === 'WebhookSource')
    return source
  },
)

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('2026-01-01T00:00:00Z', '\u0000', '\ud800', ''),
)
const value = fc.letrec(tie => ({
  any: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    tie('object'),
    fc.array(tie('any')),
  ),
  object: fc.dictionary(
    fc.constantFrom(
      'id',
      'events',
      'rows',
      's',
      't',
      'time',
      'action',
      'repository',
      'url',
      'target',
      'tag',
      '__proto__',
      'data',
    ),
    tie('any'),
  ),
})).object
const body = fc.oneof(
  value.map(one => Buffer.from(JSON.stringify(one))),
  fc.array(value).map(all => Buffer.from(JSON.stringify({ rows: all, events: all }))),
  fc.uint8Array().map(bytes => Buffer.from(bytes)),
)
const header = fc.tuple(
  fc.constantFrom(
    'X-Type',
    'Content-Type',
    'webhook-id',
    'X-GitHub-Event',
    'X-GitHub-Delivery',
    'ce-id',
    'ce-specversion',
  ),
  fc.oneof(text, fc.constantFrom('1.0', 'application/json', 'application/cloudevents+json', 'a/b; c="')),
)

test('whatever is sent becomes events that any Broker takes, or is said to be unreadable', () => {
  fc.assert(
    fc.property(body, fc.array(header), fc.string(), fc.constantFrom(...sources), (bytes, headers, query, source) => {
      const read = toEvents(
        { rawHeaders: headers.flat(), query: `source=${query}`, body: bytes },
        source,
        () => 'random',
      )
      if (read.kind === 'unreadable') return
      const seen = new Set<string>()
      for (const event of read.events) {
        assert.equal(attributesFault(event.attributes), undefined)
        assert.equal(event.attributes.team, 'blue')
        for (const one of Object.values(event.attributes)) assert.equal(hasForbiddenCharacter(one), false)
        assert.doesNotThrow(() => toStructured(event))
        seen.add(`${event.attributes.source} ${event.attributes.id}`)
      }
      if (source.spec.split !== undefined) assert.equal(seen.size, read.events.length)
    }),
    { numRuns: 1_000 },
  )
})

test('elements that bring the same ids get different ones, whatever theirs look like', () => {
  const [, , , , , split] = sources
  assert.ok(split !== undefined)
  const body = Buffer.from('{"rows":[{"id":"a"},{"id":"a"},{"id":"a/1"},{"id":"b"}]}')
  const read = toEvents({ rawHeaders: [], query: '', body }, split, () => 'random')
  assert.ok(read.kind === 'events')
  assert.deepEqual(
    read.events.map(one => one.attributes.id),
    ['a', 'a/1', 'a/1/2', 'b'],
  )
})
