// Plain JavaScript that any Node >= 18 runs: makes a checkout ready, silently when it is.
// Installs when the lockfile changed, builds the console when its sources changed, and puts `weir` on npx's path.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)
const marks = at('node_modules', '.weir')

function hash(files) {
  const sum = createHash('sha256')
  for (const file of files) sum.update(file).update(readFileSync(at(file)))
  return sum.digest('hex')
}

/** Runs `work` unless the files are those of the last time that it succeeded. */
function whenChanged(name, files, work) {
  const mark = join(marks, name)
  const now = hash(files)
  if (existsSync(mark) && readFileSync(mark, 'utf8') === now) return
  work()
  mkdirSync(marks, { recursive: true })
  writeFileSync(mark, now)
}

function run(command, args, failure) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', env: { ...process.env, NODE_ENV: '' } })
  if (done.status === 0) return
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}\n${failure}\n`)
  process.exit(1)
}

whenChanged('installed', ['package-lock.json', 'package.json'], () => {
  process.stderr.write('Installing dependencies (once, about half a minute) … ')
  const startedAt = Date.now()
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'npm ci failed; the lines above say why.')
  if (!existsSync(at('node_modules', '.bin', 'weir')))
    symlinkSync('../../bin/weir.js', at('node_modules', '.bin', 'weir'))
  process.stderr.write(`done in ${Math.round((Date.now() - startedAt) / 1000)} s\n`)
})

if (existsSync(at('console', 'build.ts'))) {
  const sources = readdirSync(at('console')).filter(name => /\.(tsx?|css|html|json|svg)$/.test(name))
  whenChanged(
    'console',
    sources.map(name => `console/${name}`),
    () =>
      run(
        at('node_modules', '.bin', 'node'),
        [at('console', 'build.ts')],
        'Building the console failed; the lines above say why.',
      ),
  )
}
