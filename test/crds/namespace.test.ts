import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

test('a Namespace is read for its quota, and mistakes in it have a place', () => {
  const text = (limit: string) => `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations:
    weir.dev/quota-events-per-second: "${limit}"
spec: {finalizers: [kubernetes]}
`
  const read = parseManifest(text('100'), 'ns.yaml')
  assert.deepEqual([read.mistakes, read.notices], [[], []])
  assert.equal(read.resources[0]?.metadata.name, 'shop')
  const [mistake] = parseManifest(text('many'), 'ns.yaml').mistakes
  assert.deepEqual([mistake?.line, mistake?.file], [6, 'ns.yaml'])
  assert.match(mistake?.message ?? '', /whole number/)
})
