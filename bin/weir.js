#!/usr/bin/env node
// Plain JavaScript that old Nodes can read: runs Weir on a Node that can run it, or says in one line how to get one.
import { spawn } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))))
const main = join(root, 'cli', 'main.ts')
const own = join(root, 'node_modules', 'node', 'bin', 'node')

if (Number(process.versions.node.split('.')[0]) >= 24) {
  module.enableCompileCache?.()
  await import(pathToFileURL(main).href)
} else if (existsSync(own)) {
  runOn(own)
} else {
  process.stderr.write(
    `weir needs Node 24 or newer and this is ${process.version}: run \`npm install\` in ${root}, or install Node 24.\n`,
  )
  process.exitCode = 1
}

function runOn(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  // Ctrl-C reaches both processes; the child decides when to end, and this one ends with it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => signal !== 'SIGINT' && child.kill(signal))
  child.on('error', error => {
    process.stderr.write(`weir could not start ${node}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
