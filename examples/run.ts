/** `npm run example NAME [-- options]`: runs `examples/NAME/demo.ts`. */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'

const names = globSync('*/demo.ts', { cwd: import.meta.dirname })
  .map(file => file.split('/')[0] ?? '')
  .sort()
const [name = '', ...args] = process.argv.slice(2)
if (!names.includes(name)) {
  process.stderr.write(
    `${name === '' ? 'Which example?' : `There is no example ${name}.`} There are: ${names.join(', ')}.\n`,
  )
  process.exit(2)
}
// A process of its own: its arguments are its own, and a terminal sends Ctrl-C to both.
const demo = join(import.meta.dirname, name, 'demo.ts')
// The Kafka client sets a timer of less than nothing, which is harmless.
const flags = ['--disable-warning=TimeoutNegativeWarning']
const child = spawn(process.execPath, [...flags, demo, ...args], { stdio: 'inherit' })
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill('SIGTERM'))
child.on('exit', code => process.exit(code ?? 1))
