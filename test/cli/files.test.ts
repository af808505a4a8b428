import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { emptyDir, weir } from './weir.ts'

const WRONG =
  'apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: x}\nspec: {delivery: {retri: 1, timeout: 5s}}\n'

test('init writes files that validate, and a handler that answers', async () => {
  const cwd = emptyDir()
  const made = await weir(['init', 'hello'], { cwd })
  assert.equal(made.code, 0)
  assert.match(
    made.stdout,
    /created {2}hello\/events\.yaml[\s\S]*created {2}hello\/handler\.mjs[\s\S]*next {5}cd hello && weir dev -f events\.yaml/,
  )
  const checked = await weir(['validate'], { cwd: join(cwd, 'hello') })
  assert.deepEqual(checked, { code: 0, stdout: 'ok: 4 resources\n', stderr: '' })

  const port = await freePort()
  const child = spawn(process.execPath, ['handler.mjs'], {
    cwd: join(cwd, 'hello'),
    env: { ...process.env, PORT: String(port) },
  })
  try {
    const post = (body: string) =>
      fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers: { 'ce-type': 't', 'ce-id': '1' }, body })
    let answer: Response | undefined
    while (answer === undefined) answer = await post('{}').catch(() => undefined)
    assert.equal(answer.status, 200)
    assert.equal((await post('{"note":"fail"}')).status, 500)
  } finally {
    child.kill()
    await once(child, 'close')
  }
})

test('init never writes over a file, and then writes none', async () => {
  const cwd = emptyDir()
  writeFileSync(join(cwd, 'handler.mjs'), 'mine')
  const { code, stdout, stderr } = await weir(['init'], { cwd })
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /handler\.mjs is there already and not touched/)
  assert.deepEqual(readdirSync(cwd), ['handler.mjs'])
  assert.equal(readFileSync(join(cwd, 'handler.mjs'), 'utf8'), 'mine')
})

test('validate tells every mistake of every file and ends with 2', async () => {
  const cwd = emptyDir()
  mkdirSync(join(cwd, 'k8s'))
  writeFileSync(join(cwd, 'k8s', 'a.yaml'), WRONG)
  writeFileSync(join(cwd, 'k8s', 'b.yml'), 'kind: [\n')
  const { code, stdout, stderr } = await weir(['validate', '-f', 'k8s'], { cwd })
  assert.equal(code, 2)
  const lines = stdout.trimEnd().split('\n')
  assert.deepEqual(lines.slice(0, 2), [
    'k8s/a.yaml:4:19: unknown field `retri` in `spec.delivery`, did you mean `retry`?',
    'k8s/a.yaml:4:38: `spec.delivery.timeout` must be an ISO 8601 duration, not `5s`: write "PT5S"',
  ])
  assert.match(lines[2] ?? '', /^k8s\/b\.yml:\d+:\d+: not YAML: /)
  assert.match(stderr, /^\d mistakes\n$/)
})

test('an expression that does not parse is a mistake at its place, and one that is seldom meant a notice', async () => {
  const cwd = emptyDir()
  const trigger = (cesql: string) =>
    `apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec:\n  broker: default\n  subscriber: {uri: "http://a"}\n  filters:\n  - not:\n      cesql: ${cesql}\n`
  writeFileSync(join(cwd, 'a.yaml'), trigger('"type = "'))
  const broken = await weir(['validate', 'a.yaml'], { cwd })
  assert.deepEqual(
    [broken.code, broken.stdout],
    [2, 'a.yaml:9:14: `spec.filters[0].not.cesql`: character 8: a value must stand here, not the end\n'],
  )
  assert.equal(broken.stderr, '1 mistake\n')
  const inJson = JSON.parse((await weir(['validate', 'a.yaml', '-o', 'json'], { cwd })).stdout)
  assert.deepEqual([inJson.mistakes.length, inJson.mistakes[0].line], [1, 9])

  writeFileSync(join(cwd, 'a.yaml'), trigger(`"NOT type = 'a'"`))
  const odd = await weir(['validate', 'a.yaml'], { cwd })
  assert.deepEqual([odd.code, odd.stdout], [0, 'ok: 1 resource\n'])
  assert.match(odd.stderr, /^a\.yaml:9:14: notice: `spec\.filters\[0\]\.not\.cesql`: character 1: NOT goes with/m)
})

test('a condition on data that cannot be read is a mistake', async () => {
  const cwd = emptyDir()
  const annotations = `{weir.dev/filter-data: data.n >}`
  const text = `apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t, annotations: ${annotations}}\nspec:\n  broker: default\n  subscriber: {uri: "http://a"}\n`
  writeFileSync(join(cwd, 'a.yaml'), text)
  const { code, stdout } = await weir(['validate', 'a.yaml'], { cwd })
  assert.equal(code, 2)
  assert.match(stdout, /^a\.yaml:1:1: annotation `weir\.dev\/filter-data`: .* at character \d+$/m)
})

test('notices go to stderr and fail nothing', async () => {
  const cwd = emptyDir()
  writeFileSync(
    join(cwd, 'events.yaml'),
    'apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {name: t}\nspec: {broker: none, subscriber: {uri: http://a}}\n---\napiVersion: batch/v1\nkind: Job\n',
  )
  const { code, stdout, stderr } = await weir(['validate'], { cwd })
  assert.deepEqual([code, stdout], [0, 'ok: 1 resource\n'])
  assert.deepEqual(stderr.trimEnd().split('\n').sort(), [
    'events.yaml:1:1: notice: Trigger/default/t: `spec.broker`: there is no Broker default/none in these files',
    'events.yaml:7:7: notice: Job (batch/v1) is not a kind that Weir knows: left alone',
  ])
})

test('validate reads standard input, and answers in JSON', async () => {
  const { code, stdout } = await weir(['validate', '-', '-o', 'json'], { input: WRONG })
  assert.equal(code, 2)
  const { mistakes } = JSON.parse(stdout) as { mistakes: { file: string; line: number }[] }
  assert.deepEqual(
    mistakes.map(({ file, line }) => [file, line]),
    [
      ['-', 4],
      ['-', 4],
    ],
  )
})

test('files that are not there, and none at all, are wrong input', async () => {
  const missing = await weir(['validate', 'nope.yaml'])
  assert.equal(missing.code, 2)
  assert.match(missing.stdout, /^nope\.yaml:1:1: /)
  const none = await weir(['validate'])
  assert.equal(none.code, 2)
  assert.match(none.stderr, /weir validate needs files/)
  const empty = await weir(['validate', '.'])
  assert.equal(empty.code, 2)
  assert.match(empty.stderr, /no \.yaml, \.yml or \.json file in \./)
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}
