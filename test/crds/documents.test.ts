import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseManifest } from '../../crds/manifest.ts'

function first(text: string): string {
  const [mistake] = parseManifest(text, 'a.yaml').mistakes
  return mistake === undefined ? '' : `${mistake.line}: ${mistake.message}`
}

test('an alias bomb is told, and never written out', () => {
  const levels = Array.from({ length: 30 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(10).fill(`*l${i}`).join(', ')}]`)
  const text = `l0: &l0 [lol]\n${levels.join('\n')}\n`
  assert.equal(first(text), '1: more than 200000 values once the aliases are written out')
})

test('a value that contains itself, an alias without an anchor and a foreign tag are told', () => {
  assert.equal(first('a: &a\n  b: *a\n'), '2: `*a` contains itself')
  assert.equal(first('a: *nothing\n'), '1: `*nothing` points at no `&nothing` above it')
  assert.equal(first('a: !ruby/object x\n'), '1: unknown YAML tag !ruby/object: leave it out')
})

test('a text nested out of measure is told, however it is nested', () => {
  const deep = 20_000
  const texts = ['['.repeat(deep), '{a: '.repeat(deep), '- '.repeat(deep), '['.repeat(150) + ']'.repeat(150)]
  for (const text of texts) assert.match(first(text), /nested more than 100 levels deep/)
})

test('a text too large to be a manifest is not read', () => {
  assert.match(first('#'.repeat(9 << 20)), /more than the 8 MiB read/)
})

test('many mistakes are listed up to a limit and then counted', () => {
  const fields = Array.from({ length: 500 }, (_, i) => `zzzzzzzz${i}: 1`)
  const text = `apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x}\n${fields.join('\n')}\n`
  const { mistakes } = parseManifest(text, 'a.yaml')
  assert.equal(mistakes.length, 201)
  assert.equal(mistakes.at(-1)?.message, 'and 300 more mistakes')
})

test('a map of many keys takes time in proportion', () => {
  const keys = Array.from({ length: 50_000 }, (_, i) => `  k${i}: v`)
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n${keys.join('\n')}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  assert.deepEqual(mistakes, [])
  assert.ok(resources[0]?.kind === 'ConfigMap' && Object.keys(resources[0].data).length === 50_000)
})

test('a broken document does not hide the mistakes of the others', () => {
  const text = 'a: [\n---\napiVersion: v1\nkind: Secrett\nmetadata: {name: x}\n'
  const { mistakes } = parseManifest(text, 'a.yaml')
  assert.ok(mistakes.some(one => one.line === 4 && one.message.startsWith('unknown kind `Secrett`')))
  assert.ok(mistakes.length >= 2)
})

test('a message stays one line, whatever the value holds', () => {
  const text = 'apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata:\n  name: "a\\n\\e[31mred\\u2028"\n'
  const { mistakes } = parseManifest(text, 'a.yaml')
  assert.equal(mistakes.length, 1)
  assert.doesNotMatch(mistakes[0]?.message ?? '', /[\p{Cc}\u2028]/u)
})

const words = fc.constantFrom(
  'apiVersion',
  'kind',
  'metadata',
  'name',
  'spec',
  'Trigger',
  'eventing.knative.dev/v1',
  'filters',
  '__proto__',
  'constructor',
  ': ',
  '- ',
  '\n',
  '  ',
  '\t',
  '&a ',
  '*a',
  '<<: ',
  '{',
  '}',
  '[',
  ']',
  '"',
  "'",
  '|',
  '---\n',
  '? ',
  '! ',
  '#',
  'null',
  '1',
  'yes',
)

test('no text makes it throw, and every place is in the text', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(words, { maxLength: 60 }).map(parts => parts.join('')),
  )
  fc.assert(
    fc.property(texts, text => {
      const { mistakes, notices } = parseManifest(text, 'a.yaml')
      const lines = text.split(/\r\n|\n|\r/).length
      for (const one of [...mistakes, ...notices]) assert.ok(one.line >= 1 && one.line <= lines && one.column >= 1)
    }),
    { numRuns: 2000 },
  )
})

const json = fc.letrec<{ node: unknown }>(tie => ({
  node: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, 0, -1, 1.5, '', 'x', 'Trigger'),
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        'broker',
        'filter',
        'filters',
        'exact',
        'all',
        'subscriber',
        'ref',
        'uri',
        'delivery',
        'retry',
        'attributes',
        '__proto__',
      ),
      tie('node'),
      { maxKeys: 4 },
    ),
  ),
})).node

test('no object of a known kind makes it throw, and what is taken is whole', () => {
  const kinds = fc.constantFrom(
    ['eventing.knative.dev/v1', 'Trigger'],
    ['eventing.knative.dev/v1', 'Broker'],
    ['keda.sh/v1alpha1', 'ScaledObject'],
    ['keda.sh/v1alpha1', 'TriggerAuthentication'],
    ['sources.weir.dev/v1alpha1', 'AzureStorageQueueSource'],
    ['apps/v1', 'Deployment'],
    ['v1', 'Service'],
    ['v1', 'Secret'],
    ['v1', 'ConfigMap'],
  )
  fc.assert(
    fc.property(kinds, json, json, ([apiVersion, kind], metadata, spec) => {
      const text = JSON.stringify({ apiVersion, kind, metadata, spec, data: spec })
      const { resources, mistakes } = parseManifest(text, 'a.json')
      if (mistakes.length === 0) assert.ok(resources.every(one => one.metadata.name !== ''))
      else assert.deepEqual(resources, [])
    }),
    { numRuns: 1000 },
  )
})
