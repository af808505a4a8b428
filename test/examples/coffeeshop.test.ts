import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseManifest } from '../../crds/manifest.ts'
import { noKafka } from '../servers/kafka.ts'

const demo = fileURLToPath(new URL('../../examples/coffeeshop/demo.ts', import.meta.url))
const yaml = fileURLToPath(new URL('../../examples/coffeeshop/coffeeshop.yaml', import.meta.url))

test('the YAML of the coffeeshop has no mistake, and nothing in it is left alone', () => {
  const { mistakes, notices } = parseManifest(readFileSync(yaml, 'utf8'), yaml)
  assert.deepEqual(mistakes, [])
  assert.deepEqual(
    notices.map(one => one.message).filter(message => !/image/.test(message)),
    [],
  )
})

const why = await noKafka()

test('a barista that is killed costs orders by HTTP and none by events', { skip: why, timeout: 240_000 }, async () => {
  const { code, stdout } = await new Promise<{ code: number; stdout: string }>(resolve => {
    execFile(process.execPath, [demo, '--orders', '40'], (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout: out + err }),
    )
  })
  assert.equal(code, 0, stdout)
  assert.match(stdout, /By HTTP: +\d+ of 48 served; [1-9]\d* failed/)
  assert.match(stdout, /By events: 48 of 48 served, in the order of each customer; 1 barista killed/)
  assert.match(stdout, /Baristas: +0 → [1-4] → 0/)
})
