import { afterEach, beforeEach } from 'node:test'
import { isMainThread } from 'node:worker_threads'

/*
 * Preloaded into every test file's process (`test/run.ts`). A client library may keep a timer for good, and its process would
 * never end; the runner's own `--test-force-exit` ends processes before what they have to say has left them, and whole files
 * of results were missing without a word. So a process in which no test has run for a while ends here, and says what held it.
 */
const IDLE_MS = 20_000

let running = 0
let timer: NodeJS.Timeout | undefined

// Threads and processes that a test starts may be given this file too.
if (isMainThread && process.argv[1]?.endsWith('.test.ts')) {
  beforeEach(() => {
    running++
    clearTimeout(timer)
  })
  afterEach(() => {
    running--
    if (running === 0) timer = setTimeout(end, IDLE_MS).unref()
  })
}

function end(): void {
  console.error(`${process.argv[1]}: its tests are over and it does not end: ${process.getActiveResourcesInfo()}`)
  process.exit()
}
