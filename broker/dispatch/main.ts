/** A thread that posts events: it makes the attempts that the broker's thread decides on, and decides nothing itself. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../runtime/clock.ts'
import { type Log, silentLog } from '../../runtime/log.ts'
import { buildAddressGuard } from '../address-guard.ts'
import { Authorities } from '../authorities.ts'
import { openPoster } from '../poster.ts'
import { type Order, Outbox, type Report, readCalls, type Settings } from './wire.ts'

if (parentPort !== null) run(parentPort, workerData as Settings)

function run(port: MessagePort, { addresses, caFile }: Settings): void {
  const report = (message: Report) => port.postMessage(message)
  const clock = systemClock
  const poster = openPoster({
    clock,
    guard: buildAddressGuard(addresses),
    authorities: new Authorities(clock, logTo(report), caFile),
  })
  const signals = new Map<number, AbortController>()
  const signalOf = (number: number): AbortController => {
    let found = signals.get(number)
    if (found === undefined) {
      found = new AbortController()
      signals.set(number, found)
    }
    return found
  }
  const outbox = new Outbox()
  let planned = false
  const send = () => {
    planned = false
    report(outbox.take())
  }
  const close = async () => {
    await poster[Symbol.asyncDispose]()
    if (planned) send()
    port.close()
  }
  port.on('message', (order: Order) => {
    if (order.kind === 'abandon') signalOf(order.signal).abort()
    else if (order.kind === 'close') void close()
    else {
      for (const { id, request, token, signal } of readCalls(order)) {
        void poster.post(request, token, signalOf(signal).signal).then(attempt => {
          outbox.add(id, attempt)
          if (planned) return
          planned = true
          setImmediate(send)
        })
      }
    }
  })
}

/** Lines are written by the thread that owns the log. */
function logTo(report: (message: Report) => void): Log {
  const at = (level: 'warn' | 'error') => (facts: unknown, words?: string) => {
    report({ kind: 'told', level, facts, words })
  }
  return { ...silentLog, warn: at('warn'), error: at('error') }
}
