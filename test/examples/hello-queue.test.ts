import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { dirname } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseManifest } from '../../crds/manifest.ts'

const demo = fileURLToPath(new URL('../../examples/hello-queue/demo.ts', import.meta.url))

/** Holds the emulator's usual port, so that the demo has to do without it. */
let squatter: Server
before(async () => {
  squatter = createServer()
  await new Promise<void>(resolve => {
    squatter.once('error', () => resolve()) // Somebody else holds it, which does as well.
    squatter.listen(10001, '127.0.0.1', resolve)
  })
})
after(() => squatter.close())

function start(...args: string[]) {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const child = spawn(process.execPath, [demo, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      said.text += piece
    })
  }
  return { child, said, ended: new Promise<number | null>(resolve => child.once('close', code => resolve(code))) }
}

/** Pids of `pid`'s children, and theirs. */
function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return children.flatMap(child => [child, ...family(child)])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Guards need a moment to see that they are not needed any more. */
async function gone(pids: readonly number[]): Promise<void> {
  const untilMs = performance.now() + 10_000
  while (pids.some(isAlive)) {
    assert.ok(performance.now() < untilMs, `still there: ${pids.filter(isAlive)}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function until(holds: () => boolean, child: ChildProcess, said: { text: string }): Promise<void> {
  while (!holds()) {
    assert.equal(child.exitCode, null, said.text)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

test('the YAML has no mistake and nothing to point out', () => {
  const file = 'examples/hello-queue/hello-queue.yaml'
  const parsed = parseManifest(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'), file)
  assert.deepEqual([parsed.mistakes, parsed.notices], [[], []])
})

test('every message arrives, replicas go from nothing to some and back, and it ends by itself', async () => {
  const { said, ended } = start('--exit-when-idle', '--messages', '60')
  const code = await ended
  assert.equal(code, 0, said.text)
  assert.match(
    said.text,
    /All is idle\. 60 messages, 60 delivered to worker, 60 to audit, 0 parked; worker replicas 0 → [1-8] → 0; \d+ s\n/,
  )
  assert.ok(!said.text.includes('\x1b'), 'nothing is drawn over on a pipe')
})

test('Ctrl-C ends it with 0 and leaves no process behind', { skip: process.platform !== 'linux' }, async () => {
  const { child, said, ended } = start('--messages', '200')
  await until(() => /worker .*replicas=[1-9]/.test(said.text), child, said)
  const processes = family(child.pid ?? 0)
  assert.ok(processes.length >= 2, String(processes))
  child.kill('SIGINT')
  assert.equal(await ended, 0, said.text)
  assert.match(said.text, /Ending: what is in flight may finish/)
  await gone(processes)
})

test('killed without warning, it leaves no process behind', { skip: process.platform !== 'linux' }, async () => {
  const { child, said, ended } = start('--messages', '200')
  await until(() => /worker .*replicas=[1-9]/.test(said.text), child, said)
  const processes = family(child.pid ?? 0)
  child.kill('SIGKILL')
  await ended
  await gone(processes)
})

test('options that are none are answered with those there are, and 2', async () => {
  for (const args of [['--messages', '0'], ['--messages', 'many'], ['--faster'], ['10']]) {
    const { said, ended } = start(...args)
    assert.equal(await ended, 2)
    assert.match(said.text, /^Usage: npm start -- \[--messages N\] \[--exit-when-idle\]\n$/)
  }
})
