import assert from 'node:assert/strict'
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { systemClock } from '../../runtime/clock.ts'
import { type Loaded, loadFiles, watchFiles } from '../../standalone/files.ts'
import { eventually, tempFolder } from './local.ts'

const broker = (name: string) => `apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: ${name}}\n`
const names = (loaded: Loaded | undefined) => loaded?.resources.map(one => one.metadata.name).sort()

test("a folder is read with all below it, but not what is hidden, installed or nobody's resource", async t => {
  const dir = tempFolder(t)
  for (const folder of ['deep/er', 'node_modules/x', '.git']) mkdirSync(join(dir, folder), { recursive: true })
  writeFileSync(join(dir, 'a.yaml'), broker('a'))
  writeFileSync(join(dir, 'deep/er/b.yml'), broker('b'))
  writeFileSync(
    join(dir, 'c.json'),
    JSON.stringify({ apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: { name: 'c' } }),
  )
  writeFileSync(join(dir, 'package.json'), '{"name":"x"}')
  writeFileSync(join(dir, 'notes.txt'), 'x')
  writeFileSync(join(dir, 'node_modules/x/d.yaml'), broker('d'))
  writeFileSync(join(dir, '.git/e.yaml'), broker('e'))
  const loaded = await loadFiles(['.'], dir)
  assert.deepEqual(loaded.mistakes, [])
  assert.deepEqual(names(loaded), ['a', 'b', 'c'])
  assert.deepEqual(loaded.files, ['a.yaml', 'c.json', 'deep/er/b.yml'])
})

test('every mistake of every file comes at once, with its place', async t => {
  const dir = tempFolder(t)
  writeFileSync(join(dir, 'a.yaml'), broker('a').replace('metadata', 'metadatta'))
  writeFileSync(join(dir, 'b.yaml'), 'kind: [\n')
  writeFileSync(join(dir, 'c.yaml'), Buffer.from([0xff, 0xfe, 0x00]))
  const { mistakes } = await loadFiles(['a.yaml', 'b.yaml', 'c.yaml', 'nowhere.yaml'], dir)
  assert.deepEqual([...new Set(mistakes.map(one => one.file))].sort(), ['a.yaml', 'b.yaml', 'c.yaml', 'nowhere.yaml'])
  for (const { line, column, message } of mistakes) assert.ok(line >= 1 && column >= 1 && message !== '')
  assert.match(mistakes.find(one => one.file === 'nowhere.yaml')?.message ?? '', /no such file/)
})

test('the same resource in two files is a mistake that names both places', async t => {
  const dir = tempFolder(t)
  writeFileSync(join(dir, 'a.yaml'), broker('x'))
  writeFileSync(join(dir, 'b.yaml'), `# one line down\n${broker('x')}`)
  const { mistakes } = await loadFiles(['a.yaml', 'b.yaml', 'a.yaml'], dir)
  assert.equal(mistakes.length, 1, 'a file named twice is read once')
  assert.match(mistakes[0]?.message ?? '', /Broker default\/x is already at a\.yaml:1/)
  assert.equal(mistakes[0]?.line, 2)
})

async function watched(t: TestContext, paths: string[], dir: string) {
  const seen: Loaded[] = []
  const watching = watchFiles(paths, dir, await loadFiles(paths, dir), systemClock, loaded => seen.push(loaded))
  t.after(() => watching[Symbol.dispose]())
  return seen
}

test('edits are seen however they are written: in place, by rename, as a new file in a new folder, by removal', async t => {
  const dir = tempFolder(t)
  writeFileSync(join(dir, 'a.yaml'), broker('a'))
  const seen = await watched(t, ['.'], dir)
  writeFileSync(join(dir, 'a.yaml'), broker('b'))
  await eventually('in place', () => names(seen.at(-1))?.join() === 'b')
  writeFileSync(join(dir, 'a.yaml~'), broker('c'))
  renameSync(join(dir, 'a.yaml~'), join(dir, 'a.yaml'))
  await eventually('by rename', () => names(seen.at(-1))?.join() === 'c')
  mkdirSync(join(dir, 'new/folder'), { recursive: true })
  writeFileSync(join(dir, 'new/folder/d.yaml'), broker('d'))
  await eventually('a new folder', () => names(seen.at(-1))?.join() === 'c,d')
  rmSync(join(dir, 'new'), { recursive: true })
  await eventually('by removal', () => names(seen.at(-1))?.join() === 'c')
})

test('a file that is saved bit by bit is one edit, and a file that only was touched is none', async t => {
  const dir = tempFolder(t)
  const file = join(dir, 'a.yaml')
  writeFileSync(file, broker('a'))
  const seen = await watched(t, ['a.yaml'], dir)
  writeFileSync(file, '')
  for (const line of `${broker('a')}---\n${broker('b')}`.split('\n')) {
    await pause(30)
    appendFileSync(file, `${line}\n`)
  }
  await eventually('the edit', () => seen.length > 0)
  assert.deepEqual(seen.map(names), [['a', 'b']])
  writeFileSync(file, `${broker('a')}---\n${broker('b')}\n`)
  writeFileSync(join(dir, 'b.yaml'), 'not ours')
  writeFileSync(file, `${broker('a')}---\n${broker('c')}\n`)
  await eventually('the next edit', () => seen.length > 1)
  assert.deepEqual(seen.slice(1).map(names), [['a', 'c']])
})

test('a file that is written to all the time does not hide the edits of others', async t => {
  const dir = tempFolder(t)
  writeFileSync(join(dir, 'a.yaml'), broker('a'))
  writeFileSync(join(dir, 'log.json'), '')
  const seen = await watched(t, ['.'], dir)
  writeFileSync(join(dir, 'a.yaml'), broker('b'))
  await eventually('the edit', () => {
    appendFileSync(join(dir, 'log.json'), '{"line":1}\n')
    return names(seen.at(-1))?.join() === 'b'
  })
})

test('a bad edit comes with its mistakes, and so does a named file that is gone', async t => {
  const dir = tempFolder(t)
  const file = join(dir, 'a.yaml')
  writeFileSync(file, broker('a'))
  const seen = await watched(t, ['a.yaml'], dir)
  writeFileSync(file, 'kind: Trigger\nspec: [')
  await eventually('the bad edit', () => (seen.at(-1)?.mistakes.length ?? 0) > 0)
  rmSync(file)
  await eventually('gone', () => /no such file/.test(seen.at(-1)?.mistakes[0]?.message ?? ''))
  writeFileSync(file, broker('a'))
  await eventually('back', () => seen.at(-1)?.mistakes.length === 0)
})
