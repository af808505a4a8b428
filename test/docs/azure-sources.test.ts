import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

for (const page of ['azure-event-hubs', 'azure-storage-queue']) {
  test(`what ${page}.md says to paste is read without a mistake and without a notice`, () => {
    const text = readFileSync(new URL(`../../docs/sources/${page}.md`, import.meta.url), 'utf8')
    const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => yaml)
    const whole = examples.filter(yaml => yaml.includes('kind:'))
    assert.equal(whole.length, 2)
    for (const yaml of whole) {
      const { mistakes, notices } = parseManifest(yaml, `${page}.md`)
      assert.deepEqual([mistakes, notices], [[], []])
    }
  })
}
