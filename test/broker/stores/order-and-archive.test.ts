import { openMemoryStore } from '../../../broker/stores/memory.ts'
import { archiveConformance } from '../../conformance/archive.ts'
import { orderConformance } from '../../conformance/order.ts'
import { storePlace } from '../../support/sqlite-store.ts'

const memory = async () => ({
  open: async (clock: Parameters<typeof openMemoryStore>[0]) => openMemoryStore(clock),
  async [Symbol.asyncDispose]() {},
})

orderConformance('The memory store', false, memory)
orderConformance('The SQLite store', true, storePlace)
orderConformance('The SQLite store with little memory', true, async () => {
  const place = await storePlace()
  return { ...place, open: clock => place.open(clock, { cacheMaxBytes: 250 }) }
})
archiveConformance('The memory store', 'none', memory)
archiveConformance('The SQLite store', 'kept', storePlace)
