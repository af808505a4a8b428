import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseManifest } from '../../crds/manifest.ts'

const folder = fileURLToPath(new URL('../../examples/servicebus-orders/', import.meta.url))

test('the YAML has no mistake and nothing to point out', () => {
  const file = 'servicebus-orders.yaml'
  const parsed = parseManifest(readFileSync(folder + file, 'utf8'), file)
  assert.deepEqual([parsed.mistakes, parsed.notices], [[], []])
})

test('every order is made before it is cancelled, and the demo ends by itself', async () => {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const args = [`${folder}demo.ts`, '--exit-when-idle', '--customers', '10']
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      said += piece
    })
  }
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  assert.equal(code, 0, said)
  assert.match(said, /All is idle\. 100 messages, 100 handled in order, 0 out of order; \d+ s\n/)
})

test('wrong options are told', async () => {
  const child = spawn(process.execPath, [`${folder}demo.ts`, '--customers', 'many'], { stdio: 'ignore' })
  assert.equal(await new Promise<number | null>(resolve => child.once('close', resolve)), 2)
})
