import { readFileSync } from 'node:fs'
import { EXIT } from './failure.ts'

/** Of the package that this file is in. */
export function weirVersion(): string {
  const read = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return read.version
}

/** `weir version`. */
export function version(json: boolean): number {
  const facts = { weir: weirVersion(), node: process.versions.node, platform: `${process.platform} ${process.arch}` }
  process.stdout.write(
    json ? `${JSON.stringify(facts)}\n` : `weir ${facts.weir} (node ${facts.node}, ${facts.platform})\n`,
  )
  return EXIT.done
}
