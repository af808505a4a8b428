import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { choosePorts, HOST, PortTakenError } from '../../standalone/config.ts'

/** Takes a port of this machine until the test ends; undefined if somebody has it already. */
async function take(t: TestContext, port: number): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, HOST, resolve))
  t.after(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : assert.fail()
}

test('a port that was asked for and is taken is an error that says what to do', async t => {
  const port = await take(t, 0)
  await assert.rejects(choosePorts({ port, consolePort: 0 }), error => {
    assert.ok(error instanceof PortTakenError)
    assert.match(error.message, new RegExp(`port ${port} of the ingress is taken .* --port`))
    return true
  })
  await assert.rejects(choosePorts({ port: 0, consolePort: port }), /the console is taken .* --console-port/)
})

test('a usual port that is taken gives way to the next free one, and that is said', async t => {
  await take(t, 8080).catch(() => 0)
  await take(t, 9080).catch(() => 0)
  const { port, consolePort, notices } = await choosePorts({ port: undefined, consolePort: undefined })
  assert.ok(port > 8080 && port < 8130)
  assert.ok(consolePort > 9080 && consolePort < 9130)
  assert.match(notices[0] ?? '', new RegExp(`port 8080 is taken, so the ingress is on ${port}`))
  assert.match(notices[1] ?? '', new RegExp(`port 9080 is taken, so the console is on ${consolePort}`))
})

test('the console never takes the port of the ingress', async t => {
  const free = await take(t, 0)
  await assert.rejects(choosePorts({ port: free, consolePort: free }), PortTakenError)
  const { consolePort } = await choosePorts({ port: 9080, consolePort: undefined }).catch(() => ({ consolePort: 9081 }))
  assert.notEqual(consolePort, 9080)
})
