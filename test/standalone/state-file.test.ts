import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findWorld, openStateFile, stateDir } from '../../standalone/state-file.ts'
import { tempFolder } from './local.ts'

const NOBODY = 2 ** 22 + 1 // Above every pid that Linux and macOS give.

async function consoleOf(t: TestContext): Promise<string> {
  const server = createServer((request, response) => response.writeHead(request.url === '/livez' ? 200 : 404).end())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function outside(t: TestContext) {
  return { env: { XDG_RUNTIME_DIR: tempFolder(t) }, tempDir: '/nowhere', uid: process.getuid?.() }
}

test('a world is found by its folder first, then by its age, and no longer once it is disposed', async t => {
  const place = outside(t)
  const dir = stateDir(place)
  const console = await consoleOf(t)
  const world = (pid: number, cwd: string, startedMs: number) =>
    openStateFile(dir, { pid, ingress: `http://in-${pid}`, console, cwd, startedMs })
  assert.equal(await findWorld('/a', place), undefined)
  const older = world(process.pid, '/a', 1)
  const newer = world(process.ppid, '/b', 2)
  assert.equal((await findWorld('/a', place))?.pid, process.pid)
  assert.equal((await findWorld('/c', place))?.pid, process.ppid)
  newer[Symbol.dispose]()
  assert.deepEqual(await findWorld('/b', place), { ingress: `http://in-${process.pid}`, console, pid: process.pid })
  older[Symbol.dispose]()
  assert.equal(await findWorld('/a', place), undefined)
  assert.deepEqual(readdirSync(dir), [])
})

test('a world that was killed is not found, also when its number is another process now', async t => {
  const place = outside(t)
  const dir = stateDir(place)
  openStateFile(dir, { pid: NOBODY, ingress: 'http://x', console: await consoleOf(t), cwd: '/a', startedMs: 1 })
  openStateFile(dir, { pid: process.pid, ingress: 'http://x', console: 'http://127.0.0.1:1', cwd: '/a', startedMs: 2 })
  assert.equal(await findWorld('/a', place), undefined)
  assert.ok(!existsSync(join(dir, `${NOBODY}.json`)), 'and its file is cleared away')
})

test('files that are no state files are passed over', async t => {
  const place = outside(t)
  const dir = stateDir(place)
  mkdirSync(dir, { mode: 0o700 })
  for (const [name, text] of Object.entries({ '1.json': '{', '2.json': 'null', '3.json': '{"pid":4}', 'x.json': '{}' }))
    writeFileSync(join(dir, name), text)
  assert.equal(await findWorld('/a', place), undefined)
})

test('a folder that others can write to is neither believed nor used', async t => {
  const place = outside(t)
  const dir = stateDir(place)
  const world = { pid: process.pid, ingress: 'http://x', console: await consoleOf(t), cwd: '/a', startedMs: 1 }
  openStateFile(dir, world)
  assert.ok(await findWorld('/a', place))
  chmodSync(dir, 0o777)
  assert.equal(await findWorld('/a', place), undefined)
  assert.throws(() => openStateFile(dir, world), /is not yours alone/)
})
