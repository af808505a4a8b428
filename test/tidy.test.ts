import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** Folder → folders of ours that it may import. Anything not listed is an error. This table is the architecture. */
const arrows: Record<string, readonly string[]> = {
  runtime: [],
  event: [],
  crds: ['runtime'],
  clients: ['runtime'],
  contract: ['event'],
  broker: ['contract', 'event', 'runtime'],
  adapters: ['event', 'crds', 'clients', 'runtime'],
  sinks: ['event', 'crds', 'clients', 'runtime'],
  'trigger-controller': ['contract', 'crds', 'clients', 'runtime'],
  standalone: ['trigger-controller', 'broker', 'adapters', 'sinks', 'contract', 'crds', 'event', 'clients', 'runtime'],
  cli: [
    'standalone',
    'trigger-controller',
    'broker',
    'adapters',
    'sinks',
    'contract',
    'crds',
    'event',
    'clients',
    'runtime',
  ],
  console: ['contract'],
}

/** Package (a trailing `*` is any ending) → the places that may import it. A package that is not listed is an error. */
const walls: Record<string, readonly string[]> = {
  fastify: ['runtime/status-server.ts', 'runtime/door.ts'],
  undici: ['broker/call.ts', 'broker/connect.ts', 'adapters/http-sink.ts', 'cli/api.ts'],
  pino: ['runtime/'],
  jose: ['broker/auth/'],
  'lru-cache': ['broker/'],
  yaml: ['crds/', 'cli/'],
  commander: ['cli/'],
  cloudevents: ['cli/'],
  '@marcbachmann/cel-js': ['contract/filter-data.ts'],
  '@azure/storage-queue': ['clients/azure-storage-queue/'],
  amqplib: ['clients/rabbitmq/'],
  '@azure/service-bus': ['clients/azure-service-bus/'],
  long: ['clients/azure-service-bus/'],
  '@azure/event-hubs': ['clients/azure-event-hubs/'],
  '@azure/storage-blob': ['clients/azure-event-hubs/'],
  '@azure/identity': ['clients/'],
  kafkajs: ['clients/kafka/'],
  'kafkajs-snappy': ['clients/kafka/'],
  lz4js: ['clients/kafka/'],
  croner: ['runtime/cron.ts'],
  preact: ['console/'],
  'preact/*': ['console/'],
  esbuild: ['console/build.ts'],
  'node:sqlite': ['broker/stores/'],
  'node:worker_threads': ['broker/thread.ts', 'broker/stores/', 'broker/dispatch/'],
  'node:child_process': ['standalone/processes.ts'],
  'node:*': [''],
}

/** Only the entry points may name the outside: time, chance and the environment are passed in everywhere else. */
const outside = /\b(systemClock|Math\.random|process\.env|Date\.now|crypto\.randomUUID|randomUUID)\b/
const entries = [/(^|\/)main\.ts$/, /^runtime\//, /^cli\//, /^console\//]

const MOST_LINES = 400

/**
 * Every module specifier of a source text: static, bare, re-exported, dynamic, in a type, required, or found by
 * `import.meta.resolve`. A specifier that is not a literal comes back as `undefined`, because it cannot be checked.
 */
export function specifiers(source: string): (string | undefined)[] {
  const code = withoutComments(source)
  const found: (string | undefined)[] = []
  const forms = [
    /(?:^|[;\n}])\s*import\s*(?:type\s+)?(?:[\w*{}\s,$]+?\s*from\s*)?(['"])(?<name>[^'"\n]+)\1/g,
    /(?:^|[;\n}])\s*export\s*(?:type\s+)?(?:\*(?:\s*as\s+\w+)?|\{[^}]*\})\s*from\s*(['"])(?<name>[^'"\n]+)\1/g,
    /(?<![.\w$])(?:import|require|import\.meta\.resolve)\s*\(\s*(?:(['"`])(?<name>[^'"`\n$]+)\1\s*[,)]|(?<other>[^)\s]))/g,
  ]
  for (const form of forms) for (const { groups } of code.matchAll(form)) found.push(groups?.name)
  return found
}

function withoutComments(source: string): string {
  // Strings first, so that the `//` of an address in one is no comment.
  return source.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    '$1',
  )
}

/** What is wrong with the imports of `file`, in words. */
export function brokenArrows(file: string, source: string): string[] {
  const here = file.split('/')[0] ?? ''
  const wrong: string[] = []
  for (const name of specifiers(source)) {
    if (name === undefined) {
      wrong.push(`${file} imports something whose name is computed: nobody can check that`)
    } else if (name.startsWith('.')) {
      const target = new URL(name, `file:///${file}`).pathname.slice(1)
      const there = target.split('/')[0] ?? ''
      if (there !== here && !arrows[here]?.includes(there)) wrong.push(`${file} must not import ${target}`)
    } else {
      const places = wallOf(name)
      if (places === undefined) wrong.push(`${file} imports ${name}, which has no place in the table of walls`)
      else if (!places.some(place => file.startsWith(place))) wrong.push(`${file}: only ${places} may import ${name}`)
    }
  }
  return wrong
}

function wallOf(name: string): readonly string[] | undefined {
  if (walls[name] !== undefined) return walls[name]
  const wide = Object.keys(walls).find(key => key.endsWith('*') && name.startsWith(key.slice(0, -1)))
  return wide === undefined ? undefined : walls[wide]
}

const files = globSync(`{${Object.keys(arrows).join(',')}}/**/*.{ts,tsx}`).filter(file => !file.includes('/dist/'))

for (const file of files) {
  test(`${file} keeps the house`, () => {
    const source = readFileSync(file, 'utf8')
    assert.deepEqual(brokenArrows(file, source), [])
    const lines = source.split('\n').length
    assert.ok(lines <= MOST_LINES, `${file} has ${lines} lines; it may be two things`)
    assert.doesNotMatch(source, /^export default/m)
    if (!entries.some(entry => entry.test(file))) assert.doesNotMatch(withoutComments(source), outside)
  })
}

test('every folder of the house is in the table', () => {
  const known = new Set([...Object.keys(arrows), 'test', 'bench', 'bin', 'examples'])
  const folders = globSync('*/**/*.ts').map(file => file.split('/')[0] ?? '')
  for (const folder of folders)
    if (folder !== 'node_modules') assert.ok(known.has(folder), `${folder}/ is not in the table`)
})

test('a forbidden import is seen in whatever form it is written', () => {
  const forms = [
    `import { x } from '../standalone/main.ts'`,
    `import x from "../standalone/main.ts"`,
    `import * as x from '../standalone/main.ts'`,
    `import type { X } from '../standalone/main.ts'`,
    `import '../standalone/main.ts'`,
    `import {\n  x,\n  y,\n} from '../standalone/main.ts'`,
    `export * from '../standalone/main.ts'`,
    `export { x } from '../standalone/main.ts'`,
    `export type { X } from '../standalone/main.ts'`,
    `const x = await import('../standalone/main.ts')`,
    'const x = await import(`../standalone/main.ts`)',
    `const x = await import(\n  '../standalone/main.ts',\n)`,
    `type X = import('../standalone/main.ts').X`,
    `const x = require('../standalone/main.ts')`,
    `const url = import.meta.resolve('../standalone/main.ts')`,
    `const name = 'x'; const x = await import(name)`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source text that is looked at
    'const x = await import(`../${folder}/main.ts`)',
    `import 'undici'`,
    `import { Pool } from 'undici'`,
    `import leftPad from 'left-pad'`,
    `import { spawn } from 'node:child_process'`,
    `const a = 1; import { x } from '../standalone/main.ts'`,
  ]
  for (const form of forms) assert.equal(brokenArrows('contract/routes.ts', form).length, 1, form)
})

test('an allowed import, a comment and a string are not taken for a broken arrow', () => {
  const source = [
    `import type { CloudEvent } from '../event/event.ts'`,
    `// import { x } from '../standalone/main.ts'`,
    `/* const x = await import('../standalone/main.ts') */`,
    `const text = "see https://example.com"`,
    `const name = fields.require('name')`,
  ].join('\n')
  assert.deepEqual(brokenArrows('contract/routes.ts', source), [])
})
