import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { plain, widthOf } from '../../cli/style.ts'
import { ageText, spanText } from '../../cli/time.ts'
import { weir } from './weir.ts'

const COMMANDS = ['dev', 'init', 'send', 'get', 'tail', 'validate', 'version']

test('help shows examples before usage, for every command, and is no failure', async () => {
  for (const words of [[], ['--help'], ['help', 'send'], ...COMMANDS.map(command => [command, '--help'])]) {
    const { code, stdout, stderr } = await weir(words)
    assert.deepEqual([code, stderr], [0, ''], words.join(' '))
    assert.match(stdout, /^[\s\S]*?(Examples|First steps):\n[\s\S]*\nUsage: weir/)
  }
})

test('a slip in a command or an option is wrong input, and what was meant is said', async () => {
  const command = await weir(['vallidate'])
  assert.equal(command.code, 2)
  assert.match(command.stderr, /unknown command 'vallidate'\n\(Did you mean validate\?\)\n {2}try: weir --help/)
  const option = await weir(['get', 'brokers', '--ouput', 'json'])
  assert.equal(option.code, 2)
  assert.match(option.stderr, /unknown option '--ouput'\n\(Did you mean --output\?\)\n {2}try: weir get --help/)
  const port = await weir(['dev', '--port', '99999'])
  assert.equal(port.code, 2)
  assert.match(port.stderr, /must be from 0 to 65535/)
  const both = await weir(['dev', '--memory', '--data', 'x'])
  assert.equal(both.code, 2)
  assert.match(both.stderr, /--memory and --data exclude each other/)
})

test('version says its own and that of Node', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  assert.match(
    (await weir(['version'])).stdout,
    new RegExp(`^weir ${RegExp.escape(version)} \\(node ${process.versions.node}, `),
  )
  assert.equal((await weir(['--version'])).stdout, `${version}\n`)
  const json = JSON.parse((await weir(['version', '--json'])).stdout) as { weir: string; node: string }
  assert.deepEqual([json.weir, json.node], [version, process.versions.node])
})

test('ages read as kubectl writes them', () => {
  const second = 1000
  const minute = 60 * second
  for (const [ms, text] of [
    [0, '0s'],
    [-5, '0s'],
    [119 * second, '119s'],
    [3 * minute + 2 * second, '3m2s'],
    [5 * minute, '5m'],
    [150 * minute, '150m'],
    [5 * 60 * minute, '5h'],
    [72 * 60 * minute, '3d'],
  ] as const)
    assert.equal(ageText(ms), text)
  assert.deepEqual([12, 1540, 65_000].map(spanText), ['12ms', '1.5s', '65s'])
})

test('text of strangers cannot steer a terminal, and wide letters take two columns', () => {
  assert.equal(plain('a\x1b]0;x\x07b\u202ec\u2028d'), 'a�]0;x�b�c�d')
  assert.deepEqual(['abc', '日本', 'é', 'e\u0301', '🚀'].map(widthOf), [3, 4, 1, 1, 2])
})
