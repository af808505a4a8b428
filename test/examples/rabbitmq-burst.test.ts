import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseManifest } from '../../crds/manifest.ts'
import { noRabbitmq } from '../servers/rabbitmq.ts'

const demo = fileURLToPath(new URL('../../examples/rabbitmq-burst/demo.ts', import.meta.url))
const missing = await noRabbitmq()
const withServer = missing === false ? {} : { skip: missing }

async function run(...args: string[]): Promise<{ readonly code: number | null; readonly said: string }> {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const child = spawn(process.execPath, [demo, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      said += piece
    })
  return { code: await new Promise(resolve => child.once('close', resolve)), said }
}

test('the YAML has no mistake and nothing to point out', () => {
  const file = 'examples/rabbitmq-burst/rabbitmq-burst.yaml'
  const parsed = parseManifest(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'), file)
  assert.deepEqual([parsed.mistakes, parsed.notices], [[], []])
})

test('a burst on either way is done, by workers that come for it and go', withServer, async () => {
  const { code, said } = await run('--bursts', '300,900')
  assert.equal(code, 0, said)
  const lines = said.match(/\d+ messages: \d+ done after .* replicas 0( → \d+)* → [1-9]\d*( → \d+)* → 0;/g)
  assert.equal(lines?.length, 4, said)
  for (const count of [300, 900]) assert.equal(said.split(`${count} messages: ${count} done`).length, 3, said)
})

test('options that are none are answered with those there are, and 2', async () => {
  const { code, said } = await run('--bursts', 'many')
  assert.equal(code, 2)
  assert.match(said, /^Usage: /)
})
