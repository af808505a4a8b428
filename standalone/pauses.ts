import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TriggerId } from '../contract/ids.ts'
import type { BrokerRoute } from '../contract/routes.ts'

/** Triggers that a person paused or resumed, which counts for more than their annotation. */
export class Pauses {
  readonly #file: string | undefined
  readonly #said: Map<string, boolean>

  /** @param dataDir where they are kept; undefined: they end with the process. */
  constructor(dataDir: string | undefined) {
    this.#file = dataDir === undefined ? undefined : join(dataDir, 'pauses.json')
    this.#said = new Map(this.#file === undefined ? [] : read(this.#file))
  }

  get kept(): boolean {
    return this.#file !== undefined
  }

  applied(route: BrokerRoute): BrokerRoute {
    const triggers = route.triggers.map(one => {
      const said = this.#said.get(one.id)
      return said === undefined || said === one.paused ? one : { ...one, paused: said }
    })
    return { ...route, triggers }
  }

  /** @throws when it cannot be written down. */
  set(trigger: TriggerId, paused: boolean): void {
    this.#said.set(trigger, paused)
    if (this.#file === undefined) return
    mkdirSync(join(this.#file, '..'), { recursive: true })
    const draft = `${this.#file}.new`
    writeFileSync(draft, JSON.stringify(Object.fromEntries(this.#said)))
    renameSync(draft, this.#file) // Whole or not at all.
  }
}

function read(file: string): [string, boolean][] {
  if (!existsSync(file)) return []
  try {
    const said: unknown = JSON.parse(readFileSync(file, 'utf8'))
    const entries = Object.entries(typeof said === 'object' && said !== null ? said : {})
    return entries.filter((entry): entry is [string, boolean] => typeof entry[1] === 'boolean')
  } catch {
    // It says less than what runs without it would be worth.
    return []
  }
}
