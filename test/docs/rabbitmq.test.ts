import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkReferences } from '../../crds/check.ts'
import { parseManifest } from '../../crds/manifest.ts'

for (const page of ['sources', 'sinks']) {
  test(`what docs/${page}/rabbitmq.md says to paste is read without a mistake and leads somewhere`, () => {
    const text = readFileSync(new URL(`../../docs/${page}/rabbitmq.md`, import.meta.url), 'utf8')
    const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(text) ?? []
    const { resources, mistakes, notices } = parseManifest(yaml, 'rabbitmq.md')
    assert.deepEqual([mistakes, notices, checkReferences(resources)], [[], [], []])
    assert.ok(resources.length >= 4)
  })
}
