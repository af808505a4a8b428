import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../runtime/clock.ts'
import { Replica, restartDelayMs } from '../../standalone/replica.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { eventually, eventuallyOn, isAlive, LISTENER, nodeTemplate, recordingDeps } from './local.ts'

test('a replica is ready when its port answers, and a SIGTERM lets it finish', async () => {
  const deps = recordingDeps(systemClock)
  const replica = new Replica('worker-1', nodeTemplate(LISTENER), deps)
  assert.equal(replica.endpoint, undefined)
  await eventually('it is ready', () => replica.state === 'ready')
  const { origin } = replica.endpoint ?? assert.fail()
  assert.equal(await (await fetch(origin)).text(), 'ok')
  await replica.stop()
  assert.equal(replica.state, 'gone')
  assert.equal(replica.endpoint, undefined)
  assert.deepEqual(deps.printed, ['worker-1 | up', 'worker-1 | told'])
  assert.equal(deps.ports.size, 0)
})

test('PORT is ours, whatever the template says, and $(PORT) in the command is it', async () => {
  const deps = recordingDeps(systemClock)
  const template = nodeTemplate(`const [, port, text] = process.argv
    console.log(process.env.PORT === port && port !== '1', text)`)
  const argv = [...template.argv, '$(PORT)', '$$(PORT)']
  const replica = new Replica('a-1', { ...template, argv, env: { ...template.env, PORT: '1' } }, deps)
  await eventually('it printed', () => deps.printed.length > 0)
  await replica.stop()
  assert.equal(deps.printed[0], 'a-1 | true $(PORT)')
})

test('with a readiness path an open port is not enough', async () => {
  const script = `let ok = false; process.on('SIGUSR2', () => { ok = true })
    require('node:http').createServer((q, s) => { s.statusCode = q.url === '/ready' && ok ? 204 : 503; s.end() })
      .listen(process.env.PORT, () => console.log('up'))`
  const deps = recordingDeps(systemClock)
  const replica = new Replica('a-1', nodeTemplate(script, { readinessPath: '/ready', graceMs: 100 }), deps)
  await eventually('it is up', () => deps.printed.length > 0)
  assert.equal(replica.state, 'starting')
  process.kill(replica.pid ?? 0, 'SIGUSR2')
  await eventually('it is ready', () => replica.state === 'ready')
  await replica.stop()
})

test('a process that ignores SIGTERM is killed when its grace is over, not before', async () => {
  const clock = new ManualClock()
  const deps = recordingDeps(clock)
  const script = `process.on('SIGTERM', () => console.log('told')); setInterval(() => {}, 1000); console.log('up')`
  const replica = new Replica('a-1', nodeTemplate(script, { graceMs: 7_000 }), deps)
  await eventually('it is up', () => deps.printed.length === 1)
  const pid = replica.pid ?? 0
  const stopped = replica.stop()
  await eventually('it was told', () => deps.printed.length === 2)
  await clock.advance(6_999)
  assert.ok(isAlive(pid))
  await clock.advance(1)
  await stopped
  assert.ok(!isAlive(pid))
  assert.deepEqual(deps.said, ['a-1 did not end within 7 s of SIGTERM and is killed'])
})

test('a process that ends is started again, after 1 s, 2 s, 4 s …, and says why', async () => {
  const clock = new ManualClock()
  const deps = recordingDeps(clock)
  const replica = new Replica('a-1', nodeTemplate('process.exit(9)'), deps)
  for (const wait of ['1 s', '2 s', '4 s']) {
    deps.said.length = 0
    await eventually('it ended', () => replica.state === 'waiting')
    assert.match(deps.said[0] ?? '', new RegExp(`^a-1 exited with code 9 after .*; starting it again in ${wait}$`))
    const ms = Number.parseInt(wait, 10) * 1000
    await clock.advance(ms - 1)
    assert.equal(replica.state, 'waiting')
    await clock.advance(1)
    assert.equal(replica.state, 'starting')
  }
  await replica.stop()
})

test('a process that lived for 10 s starts its back-off anew', async () => {
  const clock = new ManualClock()
  const deps = recordingDeps(clock)
  const replica = new Replica('a-1', nodeTemplate(`console.log('up'); setInterval(() => {}, 1000)`), deps)
  for (let life = 0; life < 3; life++) {
    await eventually('it is up', () => deps.printed.length === life + 1)
    await clock.advance(10_000)
    process.kill(replica.pid ?? 0, 'SIGKILL')
    await eventually('it ended', () => replica.state === 'waiting')
    assert.match(deps.said.at(-1) ?? '', /was ended by SIGKILL after 10 s; starting it again in 1 s/)
    await clock.advance(1_000)
  }
  await replica.stop()
})

test('a process that never listens on PORT is reported as just that, once, and is still waited for', async () => {
  const clock = new ManualClock()
  const deps = recordingDeps(clock)
  const script = `process.on('SIGUSR2', () => require('node:net').createServer().listen(process.env.PORT)); console.log('up'); setInterval(() => {}, 1000)`
  const replica = new Replica('a-1', nodeTemplate(script, { graceMs: 0 }), deps)
  await eventually('it is up', () => deps.printed.length === 1)
  await eventuallyOn(clock, 'it was reported', () => deps.said.length > 0)
  assert.match(deps.said[0] ?? '', /^a-1 runs, but has not listened on port \d+ for 10 s: .* PORT/)
  process.kill(replica.pid ?? 0, 'SIGUSR2')
  await eventuallyOn(clock, 'it is ready after all', () => replica.state === 'ready')
  assert.equal(deps.said.length, 1)
  const stopped = replica.stop()
  await clock.advance(0)
  await stopped
})

test('the back-off doubles from 1 s, never exceeds 60 s and never shrinks', () => {
  assert.deepEqual([0, 1, 2, 3, 7, 8].map(restartDelayMs), [1000, 1000, 2000, 4000, 60_000, 60_000])
  fc.assert(
    fc.property(fc.nat(), failures => {
      const delayMs = restartDelayMs(failures)
      assert.ok(delayMs >= 1000 && delayMs <= 60_000 && restartDelayMs(failures + 1) >= delayMs)
    }),
  )
})
