/**
 * `npm run bench [name…]`: each figure beside its floor in the same run. Machines differ by a factor of three and this one
 * may be shared, so only ratios carry over. Prints a verdict a line and appends a JSON record to `.weir/bench.jsonl`.
 */
import { appendFileSync, mkdirSync } from 'node:fs'
import { cpus } from 'node:os'
import { adapters } from './adapters.ts'
import { backlog } from './backlog.ts'
import { fairness } from './fairness.ts'
import type { Figure } from './figure.ts'
import { leaveCoreZero } from './process.ts'
import { startAndMemory, wake } from './start.ts'
import { threads } from './threads.ts'
import { connections, paced, throughput, triggers } from './throughput.ts'

const benches: Readonly<Record<string, () => Promise<Figure[]>>> = {
  throughput: () => throughput(1, 64),
  'fan-out': () => throughput(4, 64),
  connections: () => connections(),
  paced: () => paced(),
  triggers: () => triggers(),
  threads: () => threads(),
  backlog: () => backlog(),
  adapters: () => adapters(),
  fairness: () => fairness(),
  start: startAndMemory,
  wake,
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter(name => benches[name] === undefined)
if (unknown.length > 0) {
  console.error(`No bench is named ${unknown.join(', ')}. There are: ${Object.keys(benches).join(', ')}.`)
  process.exit(2)
}

await leaveCoreZero()
mkdirSync('.weir', { recursive: true })
for (const name of wanted.length > 0 ? wanted : Object.keys(benches)) {
  process.stderr.write(`${name} …\n`)
  for (const figure of (await benches[name]?.()) ?? []) {
    const verdict = figure.value <= figure.goal ? 'ok  ' : 'OVER'
    console.log(
      `${verdict} ${figure.name}: ${figure.value.toFixed(2)} ${figure.unit} (goal ≤ ${figure.goal}) ${figure.detail}`,
    )
    const record = {
      at: new Date().toISOString(),
      node: process.version,
      cpu: cpus()[0]?.model,
      bench: name,
      ...figure,
    }
    appendFileSync('.weir/bench.jsonl', `${JSON.stringify(record)}\n`)
  }
}
process.exit(0)
