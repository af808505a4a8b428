import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

/** Makes much garbage, of which a part lives for a while, and prints how large the young generation became, MB. */
const WORK = `
import v8 from 'node:v8'
import { setImmediate as turn } from 'node:timers/promises'
import { keepYoungGenerationSmall } from './runtime/outside.ts'
if (process.argv.includes('small')) keepYoungGenerationSmall()
const alive = []
for (let i = 0; i < 8e6; i++) {
  alive[i % 400_000] = { i, list: [i] }
  if (i % 20_000 === 0) await turn()
}
const { space_size } = v8.getHeapSpaceStatistics().find(space => space.space_name === 'new_space')
console.log(space_size / 2 ** 20)
`

function youngMb(...args: string[]): number {
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', WORK, ...args], { encoding: 'utf8' }))
}

test('the young generation stays small, however much garbage there is; by itself it would not', () => {
  assert.ok(youngMb() >= 64, 'V8 has become thrifty: is the limit still needed?')
  assert.ok(youngMb('small') <= 32)
})
