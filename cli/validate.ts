import { text } from 'node:stream/consumers'
import { readCesqlFilter } from '../contract/cesql/cesql-filter.ts'
import { readDataFilter } from '../contract/filter-data.ts'
import { readKnobs } from '../crds/annotations.ts'
import { checkReferences } from '../crds/check.ts'
import { expressionsOf } from '../crds/filters.ts'
import { type Notice, parseManifest, type Resource } from '../crds/manifest.ts'
import type { Mistake } from '../crds/resource.ts'
import { type Loaded, loadFiles } from '../standalone/files.ts'
import { EXIT, Failure } from './failure.ts'
import { paintFor, plain } from './style.ts'

/** `weir validate FILE|DIR…`: offline. Mistakes are its answer and go to stdout, notices to stderr. */
export async function validate(paths: readonly string[], output: 'text' | 'json'): Promise<number> {
  const loaded = await load(paths)
  const { resources } = loaded
  const filters = checkFilters(resources)
  const mistakes = [...loaded.mistakes, ...filters.mistakes]
  const notices = [...loaded.notices, ...filters.hints, ...(mistakes.length === 0 ? checkReferences(resources) : [])]
  if (output === 'json') {
    const kinds = resources.map(({ kind, metadata, where }) => ({ kind, ...metadata, ...where }))
    process.stdout.write(`${JSON.stringify({ resources: kinds, mistakes, notices }, undefined, 2)}\n`)
    return mistakes.length === 0 ? EXIT.done : EXIT.wrongInput
  }
  const paint = paintFor(process.stderr)
  for (const notice of notices) process.stderr.write(`${placed(notice, paint('warn', 'notice: '))}\n`)
  for (const mistake of mistakes) process.stdout.write(`${placed(mistake, '')}\n`)
  if (mistakes.length > 0) {
    process.stderr.write(`${paint('bad', `${mistakes.length} ${mistakes.length === 1 ? 'mistake' : 'mistakes'}`)}\n`)
    return EXIT.wrongInput
  }
  if (loaded.files.length === 0)
    throw new Failure(
      'wrongInput',
      `no .yaml, .yml or .json file in ${paths.join(' ')}`,
      'weir init writes a first one',
    )
  process.stdout.write(`ok: ${resources.length} ${resources.length === 1 ? 'resource' : 'resources'}\n`)
  return EXIT.done
}

/** What compiling the expressions of all Triggers says; a Trigger with a mistake would run, and match nothing. */
function checkFilters(resources: readonly Resource[]): {
  readonly mistakes: readonly Mistake[]
  readonly hints: readonly Notice[]
} {
  const mistakes: Mistake[] = []
  const hints: Notice[] = []
  for (const resource of resources) {
    if (resource.kind !== 'Trigger') continue
    const found = resource.spec.filters.flatMap((filter, i) => expressionsOf(filter, `spec.filters[${i}]`))
    const data = readKnobs(resource.metadata).filterData
    const condition = data === undefined ? undefined : readDataFilter(data)
    if (condition?.kind === 'mistake')
      mistakes.push({ ...resource.where, message: `annotation \`weir.dev/filter-data\`: ${condition.words}` })
    for (const { cesql, path, where } of found) {
      const read = readCesqlFilter(cesql)
      if (read.kind === 'mistake') mistakes.push({ ...where, message: `\`${path}\`: ${read.words}` })
      else hints.push(...read.hints.map(hint => ({ ...where, message: `\`${path}\`: ${hint}` })))
    }
  }
  return { mistakes, hints }
}

async function load(paths: readonly string[]): Promise<Loaded> {
  if (!paths.includes('-')) return await loadFiles(paths, process.cwd())
  if (paths.length > 1) throw new Failure('wrongInput', '- (standard input) cannot be beside files')
  return { ...parseManifest(await text(process.stdin), '-'), files: ['-'] }
}

function placed({ file, line, column, message }: Mistake, label: string): string {
  return `${plain(file)}:${line}:${column}: ${label}${plain(message)}`
}
