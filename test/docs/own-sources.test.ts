import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { checkReferences } from '../../crds/check.ts'
import { parseManifest } from '../../crds/manifest.ts'

for (const name of ['ping', 'webhook', 'sinkbinding']) {
  test(`the YAML of docs/sources/${name}.md works when it is pasted`, () => {
    const text = readFileSync(new URL(`../../docs/sources/${name}.md`, import.meta.url), 'utf8')
    const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(text) ?? []
    const { resources, mistakes, notices } = parseManifest(yaml, `${name}.md`)
    assert.deepEqual(mistakes, [])
    assert.deepEqual([...notices, ...checkReferences(resources)], [])
    assert.ok(resources.length > 1)
  })
}

test('the schemes of docs/sources/webhook.md can be read', () => {
  const text = readFileSync(new URL('../../docs/sources/webhook.md', import.meta.url), 'utf8')
  const schemes = [...text.matchAll(/^\| (?:Slack|Stripe|Standard Webhooks) \| `(.*)` \|$/gm)]
  assert.equal(schemes.length, 3)
  for (const [, scheme] of schemes) {
    const spec = `{signature: {${scheme}, secret: {secretKeyRef: {name: s, key: k}}}, sink: {uri: "http://x/"}}`
    const yaml = `apiVersion: sources.weir.dev/v1alpha1\nkind: WebhookSource\nmetadata: {name: w}\nspec: ${spec}\n`
    assert.deepEqual(parseManifest(yaml, 'a.yaml').mistakes, [])
  }
})
