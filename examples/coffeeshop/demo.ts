/**
 * `npm run example coffeeshop`: orders over plain HTTP and as events, and a barista that is killed on either way.
 * Options: --orders N (60). Ends by itself: 0 when every order that was an event was brewed, in order.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { TriggerView } from '../../contract/api.ts'
import { openLog } from '../../runtime/log.ts'
import { thisProcess } from '../../runtime/outside.ts'
import { openStandalone } from '../../standalone/standalone.ts'
import { sharedKafka } from '../../test/servers/kafka.ts'
import { Floor } from './floor.ts'
import { HttpBarista } from './http-barista.ts'
import { EventShop, orderByHttp, wishesOf } from './shop.ts'
import { type Tally, tally, type Wish } from './tally.ts'

const ORDER_EVERY_MS = 30
/** The HTTP barista is away for so many orders. */
const AWAY_ORDERS = 10
/** Until everything must be brewed and every barista gone home. */
const PATIENCE_MS = 180_000

process.exitCode = await main()

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { orders: { type: 'string', default: '60' } } })
  if (!/^[1-9]\d{0,4}$/.test(values.orders)) {
    process.stderr.write('Usage: npm run example coffeeshop -- [--orders N]\n')
    return 2
  }
  try {
    return await day(Number(values.orders))
  } catch (error) {
    // What went wrong while ending, because of what went wrong before, is not the news.
    const first: unknown = error instanceof SuppressedError ? error.suppressed : error
    process.stderr.write(`The demo failed: ${first instanceof Error ? first.message : String(first)}\n`)
    return 1
  }
}

async function day(orders: number): Promise<number> {
  await using open = new AsyncDisposableStack()
  say('Starting Kafka …')
  const kafka = await sharedKafka()
  const shop = open.use(await EventShop.open(kafka.broker))
  const floor = new Floor(say)
  const world = open.use(
    await openStandalone(
      {
        ...{ paths: [join(import.meta.dirname, 'coffeeshop.yaml')], cwd: thisProcess.cwd },
        ...{ port: undefined, consolePort: undefined },
        ...{ dataDir: undefined, memory: false, broker: undefined },
      },
      { outside: thisProcess, log: await openLog('error'), fatal: fail, tell: told => floor.hear(told) },
    ),
  )
  say(`Console ${world.console}`)
  const barista = open.use(new HttpBarista())
  await barista.start()

  const wishes = wishesOf(orders)
  say(`${orders} orders, ${wishes.length - orders} of them cancelled; each over HTTP, and as an event on Kafka …`)
  const served = await serve(wishes, shop, barista, floor)
  const result = await untilDone(wishes, floor, world.console)
  return tell(wishes, served, result, floor)
}

/** Both ways to order, and the two killings. @returns how many wishes the HTTP barista served. */
async function serve(wishes: readonly Wish[], shop: EventShop, barista: HttpBarista, floor: Floor): Promise<number> {
  const third = Math.floor(wishes.length / 3)
  const replies: Promise<boolean>[] = []
  for (const [i, wish] of wishes.entries()) {
    if (i === third) {
      say('✗ the HTTP barista is killed')
      barista.kill()
      floor.killNext()
    }
    if (i === third + AWAY_ORDERS) {
      say('· somebody starts the HTTP barista again')
      await barista.start()
    }
    replies.push(orderByHttp(barista.url, wish))
    await shop.order(wish)
    await sleep(ORDER_EVERY_MS)
  }
  return (await Promise.all(replies)).filter(Boolean).length
}

async function untilDone(wishes: readonly Wish[], floor: Floor, console: string): Promise<Tally> {
  const untilMs = performance.now() + PATIENCE_MS
  for (;;) {
    const response = await fetch(`${console}/api/v1/triggers`)
    const triggers = (await response.json()) as TriggerView[]
    const baristas = triggers.find(one => one.name === 'baristas')?.replicas
    floor.count(baristas?.ready ?? 0)
    const result = tally(wishes, floor.lines)
    const home = baristas?.desired === 0 && baristas.ready === 0
    if ((result.missing.length === 0 && home) || performance.now() > untilMs) return result
    await sleep(100)
  }
}

function tell(wishes: readonly Wish[], served: number, result: Tally, floor: Floor): number {
  say('')
  say(`By HTTP:   ${served} of ${wishes.length} served; ${wishes.length - served} failed, and nobody has them any more`)
  const wrong = [
    ...result.missing.map(one => `${one} is missing`),
    ...result.disordered.map(one => `the orders of ${one} came out of order`),
    // The killed barista may have been done and not yet have said so.
    ...(result.twice.length > floor.killed ? [`made twice: ${result.twice.join(', ')}`] : []),
    ...(floor.killed === 0 ? ['no barista was killed in the middle of a coffee'] : []),
  ]
  say(
    `By events: ${result.brewed + result.cancelled} of ${wishes.length} served, in the order of each customer; ` +
      `${floor.killed} barista killed in the middle of a coffee, which another one made`,
  )
  say(`Baristas:  0 → ${floor.most} → 0`)
  for (const line of wrong) say(`✗ ${line}`)
  return wrong.length === 0 ? 0 : 1
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function fail(error: Error): never {
  process.stderr.write(`Weir failed: ${error.message}\n`)
  process.exit(1)
}
