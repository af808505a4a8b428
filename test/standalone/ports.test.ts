import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { test } from 'node:test'
import { nextFreePort, openOnFreePort } from '../../standalone/ports.ts'

function open(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

test('several that start at the same moment each get a port, though all of them saw the same one free', async () => {
  const port = (await nextFreePort('127.0.0.1', 23_456, 200)) ?? 0
  const servers = await Promise.all([1, 2, 3].map(() => openOnFreePort('127.0.0.1', port, open)))
  assert.equal(new Set(servers.map(server => (server.address() as AddressInfo).port)).size, 3)
  for (const server of servers) server.close()
})

test('what goes wrong for another reason is not tried elsewhere', async () => {
  const tried: number[] = []
  const broken = async (port: number) => {
    tried.push(port)
    throw new Error('the disk is gone')
  }
  await assert.rejects(openOnFreePort('127.0.0.1', 23_456, broken), /the disk is gone/)
  assert.deepEqual(tried, [23_456])
})
