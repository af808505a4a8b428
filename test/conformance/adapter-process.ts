/** One adapter as a process of its own, so that a test can kill it: the job comes as JSON in the first argument. */
import { type AdapterJob, runAdapter } from '../../adapters/registry.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'

const stop = new AbortController()
process.on('SIGTERM', () => stop.abort(new Error('SIGTERM')))
// The test holds the other end: without it nobody would end this process.
process.stdin.on('end', () => process.exit(1)).resume()

const job: AdapterJob = JSON.parse(process.argv[2] ?? '')
const report = ({ error }: { error: string | undefined }) => void (error !== undefined && console.error(error))
await runAdapter(job, { clock: systemClock, random: Math.random, log: silentLog, report, drainMs: 5_000 }, stop.signal)
process.exit(0)
