/**
 * `npm test`: every `*.test.ts` below `test/`, with node's own runner. Arguments narrow it down: `npm test -- broker crds/`.
 * Exit code and closing summary are the runner's.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'

const wanted = process.argv.slice(2).filter(arg => !arg.startsWith('-'))
const flags = process.argv.slice(2).filter(arg => arg.startsWith('-'))
const files = globSync('test/**/*.test.ts')
  .filter(file => wanted.length === 0 || wanted.some(word => file.includes(word)))
  .sort()
// Where all servers are required, a suite for somebody's account is no part of the run unless the account is given.
const account = 'test/adapters/azure-service-bus/namespace.test.ts'
if (process.env.WEIR_REQUIRE_SERVERS === '1' && !process.env.WEIR_SERVICE_BUS && files.includes(account)) {
  files.splice(files.indexOf(account), 1)
  console.error(
    `NOT PART OF THIS RUN: ${account}, which needs WEIR_SERVICE_BUS, a connection string of a real namespace.`,
  )
}
if (files.length === 0) {
  console.error(`No test file matches ${wanted.join(' ')}.`)
  process.exit(1)
}
const parallel = `--test-concurrency=${Math.min(2, availableParallelism())}`
const limits = ['--test-timeout=600000', `--import=${new URL('support/last-word.ts', import.meta.url)}`]
const runner = spawn(process.execPath, ['--test', parallel, ...limits, ...flags, ...files], {
  stdio: 'inherit',
})
runner.on('exit', code => process.exit(code ?? 1))
