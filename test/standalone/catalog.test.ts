import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest, type Resource } from '../../crds/manifest.ts'
import { Catalog, KEEP_MS, keysOf } from '../../standalone/catalog.ts'

const BROKER = 'apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: default}\n'
const trigger = (name: string, type = 'a') => `apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: ${name}}
spec:
  broker: default
  filters: [{exact: {type: ${type}}}]
  subscriber: {uri: "http://localhost:1/"}
`

function resources(...documents: string[]): readonly Resource[] {
  const manifest = parseManifest(documents.join('---\n'), 'dir/my.yaml')
  assert.deepEqual(manifest.mistakes, [])
  return manifest.resources
}

const nobodyOwes = () => false
const names = (list: readonly Resource[]) => list.map(one => one.metadata.name)

test('an edit names what it added, changed and removed, and nothing else', () => {
  const catalog = new Catalog()
  catalog.edit(resources(BROKER, trigger('one'), trigger('two'), trigger('three')), 0, nobodyOwes)
  const edit = catalog.edit(
    resources(BROKER, `# moved down\n${trigger('one')}`, trigger('two', 'b'), trigger('four')),
    0,
    nobodyOwes,
  )
  assert.deepEqual([names(edit.added), names(edit.changed), names(edit.removed)], [['four'], ['two'], ['three']])
  assert.deepEqual([...keysOf(edit)].sort(), ['Trigger/default/four', 'Trigger/default/three', 'Trigger/default/two'])
  assert.deepEqual(names(catalog.all('Trigger')), ['four', 'one', 'two'])
})

test('a moved folder is a change, because commands run in it', () => {
  const catalog = new Catalog()
  catalog.edit(parseManifest(BROKER, 'a/x.yaml').resources, 0, nobodyOwes)
  assert.equal(catalog.edit(parseManifest(BROKER, 'a/y.yaml').resources, 0, nobodyOwes).changed.length, 0)
  assert.equal(catalog.edit(parseManifest(BROKER, 'b/x.yaml').resources, 0, nobodyOwes).changed.length, 1)
})

test('an emptied file keeps everything for a minute while a Trigger of it owes events', () => {
  const catalog = new Catalog()
  catalog.edit(resources(BROKER, trigger('one'), trigger('two')), 0, nobodyOwes)
  const owes = (resource: Resource) => resource.metadata.name === 'two'
  const edit = catalog.edit([], 1000, owes)
  assert.deepEqual(names(edit.kept).sort(), ['default', 'one', 'two'])
  assert.deepEqual(keysOf(edit), [])
  assert.equal(catalog.size, 3)
  assert.deepEqual(catalog.edit([], 2000, owes).kept, [], 'said once')
  assert.deepEqual(catalog.expire(1000 + KEEP_MS - 1).removed, [])
  assert.deepEqual(names(catalog.expire(1000 + KEEP_MS).removed).sort(), ['default', 'one', 'two'])
  assert.equal(catalog.size, 0)
})

test('what comes back within its minute was never gone', () => {
  const catalog = new Catalog()
  const all = resources(BROKER, trigger('one'))
  catalog.edit(all, 0, nobodyOwes)
  catalog.edit([], 0, () => true)
  const back = catalog.edit(all, 30_000, () => true)
  assert.deepEqual(keysOf(back), [])
  assert.deepEqual(catalog.expire(KEEP_MS).removed, [])
})

test('what owes nothing goes at once', () => {
  const catalog = new Catalog()
  catalog.edit(resources(BROKER, trigger('one')), 0, nobodyOwes)
  assert.deepEqual(names(catalog.edit(resources(BROKER), 0, nobodyOwes).removed), ['one'])
})
