import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { endedInWords, LINE_MAX_CHARS, startProcess } from '../../standalone/processes.ts'
import { eventually, isAlive, tempFolder } from './local.ts'

const env = process.env as Record<string, string>

test('what a process prints comes line by line, a long line in pieces, the last without its newline', async t => {
  const lines: string[] = []
  const script = `printf 'one\\r\\ntwo\\n'; head -c ${LINE_MAX_CHARS * 2 + 7} /dev/zero | tr '\\0' x; printf '\\nlast'; printf 'oops\\n' >&2`
  const command = { argv: ['sh', '-c', script], cwd: tempFolder(t), env }
  const ended = await startProcess(command, systemClock, text => lines.push(text)).ended
  assert.deepEqual(ended, { kind: 'exited', code: 0 })
  assert.ok(lines.includes('oops'))
  const stdout = lines.filter(line => line !== 'oops')
  assert.deepEqual(stdout.slice(0, 2), ['one', 'two'])
  assert.deepEqual(
    stdout.slice(2, -1).map(line => line.length),
    [LINE_MAX_CHARS, LINE_MAX_CHARS, 7],
  )
  assert.equal(stdout.at(-1), 'last')
})

test('the exit code, the signal and a missing command are told apart', async t => {
  const cwd = tempFolder(t)
  const run = (argv: string[], dir = cwd) => startProcess({ argv, cwd: dir, env }, systemClock, () => {}).ended
  assert.deepEqual(await run(['sh', '-c', 'exit 3']), { kind: 'exited', code: 3 })
  assert.deepEqual(await run(['sh', '-c', 'kill -ABRT $$']), { kind: 'signalled', signal: 'SIGABRT' })
  const missing = await run(['no-such-command-here'])
  assert.equal(
    endedInWords(missing, ['no-such-command-here']),
    'could not run `no-such-command-here`: command not found',
  )
  const nowhere = await run(['true'], join(cwd, 'nowhere'))
  assert.equal(nowhere.kind, 'not-started')
})

test('a command whose arguments look like shell code runs them as plain text', async t => {
  const lines: string[] = []
  const argv = ['printf', '%s\n', '$(id)', '; exit 1', '"', '-n']
  await startProcess({ argv, cwd: tempFolder(t), env }, systemClock, text => lines.push(text)).ended
  assert.deepEqual(lines, ['$(id)', '; exit 1', '"', '-n'])
})

test('the child of a wrapper is told too, and is waited for while it finishes', async t => {
  const lines: string[] = []
  const child = `process.on('SIGTERM', () => setTimeout(() => { console.log('finished'); process.exit() }, 300)); setInterval(() => {}, 1e3); console.log('up')`
  const argv = ['sh', '-c', `"${process.execPath}" -e "${child}"; true`]
  const running = startProcess({ argv, cwd: tempFolder(t), env }, systemClock, text => lines.push(text))
  await eventually('the child is up', () => lines.includes('up'))
  running.terminate()
  assert.deepEqual(await running.ended, { kind: 'signalled', signal: 'SIGTERM' })
  assert.deepEqual(lines, ['up', 'finished'])
})

test('nothing of the group outlives a process that ended by itself', async t => {
  const lines: string[] = []
  const argv = ['sh', '-c', 'sleep 1000 >/dev/null 2>&1 & echo $!; exit 0']
  const running = startProcess({ argv, cwd: tempFolder(t), env }, systemClock, text => lines.push(text))
  await running.ended
  await eventually('the sleeper is gone', () => !isAlive(Number(lines[0])))
})

test('kill -9 of the parent leaves no process behind, neither the command nor its children', async t => {
  const dir = tempFolder(t)
  const module = new URL('../../standalone/processes.ts', import.meta.url).href
  const clock = new URL('../../runtime/clock.ts', import.meta.url).href
  // The command ignores SIGTERM, and so does its child: only the guard's SIGKILL can end them.
  const script = `trap '' TERM; echo $$ > a.pid; sh -c "trap '' TERM; echo \\$\\$ > b.pid; while :; do sleep 1; done" & while :; do sleep 1; done`
  const parent = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import { startProcess } from '${module}'
     import { systemClock } from '${clock}'
     const command = { argv: ['sh', '-c', ${JSON.stringify(script)}], cwd: ${JSON.stringify(dir)}, env: process.env }
     startProcess(command, systemClock, () => {})`,
  ])
  t.after(() => parent.kill('SIGKILL'))
  const pid = (name: string) => {
    try {
      return Number(readFileSync(join(dir, name), 'utf8'))
    } catch {
      return 0
    }
  }
  await eventually('both run', () => pid('a.pid') > 0 && pid('b.pid') > 0)
  assert.ok(isAlive(pid('a.pid')) && isAlive(pid('b.pid')))
  parent.kill('SIGKILL')
  await once(parent, 'exit')
  await eventually('both are gone', () => !isAlive(pid('a.pid')) && !isAlive(pid('b.pid')))
})
