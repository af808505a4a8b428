import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { systemClock } from '../../runtime/clock.ts'
import { openLog } from '../../runtime/log.ts'
import { openMetrics } from '../../runtime/metrics.ts'
import type { Ask, Told } from './child-broker.ts'

/**
 * A broker process: opens what is told in its first argument, says where, and ends with 0 after SIGTERM. It also ends when
 * whoever started it is gone.
 */
const { base, config, routes } = JSON.parse(process.argv[2] ?? '{}')
const tell = (told: Told) => void process.send?.(told)
const { openBroker }: typeof import('../../broker/broker.ts') = await import(
  pathToFileURL(join(base, 'broker/broker.ts')).href
)
const broker = await openBroker(config, {
  clock: systemClock,
  random: Math.random,
  log: await openLog('silent'),
  metrics: openMetrics(),
  onFatal(error) {
    console.error(error)
    process.exit(3)
  },
})
await broker.apply(routes)

process.on('message', (ask: Ask) => {
  if (ask === 'owed') {
    const owed = broker.backlog
      .read()
      .reduce((sum, { waiting, inFlight, retrying }) => sum + waiting + inFlight + retrying, 0)
    tell({ kind: 'owed', owed })
  }
})
process.on('disconnect', () => process.exit(4))
process.on('SIGTERM', () => {
  void broker[Symbol.asyncDispose]().then(() => {
    process.removeAllListeners('disconnect')
    process.disconnect()
  })
})
tell({ kind: 'open', origin: broker.origin })
