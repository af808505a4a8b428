import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokerId } from '../../contract/ids.ts'
import type { NamespaceResource } from '../../crds/namespace.ts'
import { resourceKey } from '../../crds/resource.ts'
import { silentLog } from '../../runtime/log.ts'
import { startController } from '../../trigger-controller/controller.ts'
import { laptop } from '../../trigger-controller/profile.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { MemoryWorld } from '../support/memory-world.ts'
import { broker } from '../support/world-resources.ts'

function namespace(name: string, backlog: string): NamespaceResource {
  const metadata = { name, namespace: 'default', labels: {}, annotations: { 'weir.dev/quota-backlog': backlog } }
  return { apiVersion: 'v1', kind: 'Namespace', metadata, where: { file: 'n.yaml', line: 1, column: 1 } }
}

test('a Namespace that comes, changes or goes changes the quota of each of its Brokers, and of no other', async () => {
  const world = new MemoryWorld(broker('a'), broker('b'), broker('c', {}, { namespace: 'other' }))
  const deps = { clock: new ManualClock(), random: () => 1, log: silentLog, profile: laptop(4) }
  const controller = startController(world, { ...deps, refreshScale: async () => {} })
  const quotas = async (keys: readonly string[]) => {
    controller.changed(keys)
    await controller.settled()
    const ids = [brokerId('shop', 'a'), brokerId('shop', 'b'), brokerId('other', 'c')]
    return ids.map(id => world.routes.get(id)?.quota?.backlog)
  }
  assert.deepEqual(await quotas([...world.resources.keys()]), [undefined, undefined, undefined])
  assert.deepEqual(await quotas(world.put(namespace('shop', '5'))), [5, 5, undefined])
  assert.deepEqual(await quotas(world.put(namespace('shop', '7'))), [7, 7, undefined])
  assert.deepEqual(await quotas(world.remove(resourceKey(namespace('shop', '7')))), [undefined, undefined, undefined])
})
