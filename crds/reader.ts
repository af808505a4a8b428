import { isAlias, isMap, isScalar, isSeq, type Node, Scalar } from 'yaml'
import { parseDuration } from '../runtime/duration.ts'
import { type Sheet, startOf } from './sheet.ts'
import { didYouMean, suggest } from './suggest.ts'

/** What a map may hold. */
export interface Shape<Name extends string> {
  /** Fields that the parser reads. */
  readonly known: readonly Name[]
  /** Legal fields that do nothing here: each is a notice. */
  readonly idle?: readonly string[]
  /** Legal fields that nobody needs to hear about. */
  readonly silent?: readonly string[]
  /** What to say about a name that people put here by mistake. */
  readonly hints?: Readonly<Record<string, string>>
  /** For kinds that are not ours: an unknown field is a mistake only where it looks like a misspelt known one. */
  readonly lenient?: boolean
}

/**
 * One value of a document: where it stands, what it is called, and how to read it as a type. Reading never throws: what
 * is wrong becomes a mistake of the sheet, and `undefined` comes back.
 */
export class Value {
  /** As a person names it: `spec.filters[0].exact`. */
  readonly path: string
  readonly #sheet: Sheet
  readonly #node: Node

  constructor(sheet: Sheet, node: Node, path: string) {
    this.#sheet = sheet
    this.#node = isAlias(node) ? (sheet.target(node) ?? node) : node
    this.path = path
  }

  get where() {
    return this.#sheet.where(startOf(this.#node))
  }

  mistake(message: string): undefined {
    return this.#sheet.mistake(startOf(this.#node), message)
  }

  notice(message: string): undefined {
    return this.#sheet.notice(startOf(this.#node), message)
  }

  isMap(): boolean {
    return isMap(this.#node)
  }

  isList(): boolean {
    return isSeq(this.#node)
  }

  isNull(): boolean {
    return isScalar(this.#node) && this.#node.value === null
  }

  text(): string | undefined {
    const value = this.#scalar()
    if (typeof value === 'string') return value
    if (typeof value !== 'number' && typeof value !== 'boolean') return this.wrong('text')
    const source = this.#source()
    return this.mistake(
      `\`${this.path}\` must be text, and ${source} without quotes is a ${typeof value} in YAML: write "${source}"`,
    )
  }

  /** Text that is not empty. */
  word(): string | undefined {
    const text = this.text()
    return text === '' ? this.mistake(`\`${this.path}\` must not be empty`) : text
  }

  oneOf<const Word extends string>(words: readonly Word[]): Word | undefined {
    const text = this.text()
    if (text === undefined) return undefined
    const word = words.find(word => word === text)
    if (word !== undefined) return word
    const legal = words.map(word => `\`${word}\``).join(', ')
    return this.mistake(`\`${this.path}\` must be one of ${legal}, not \`${short(text)}\`${didYouMean(text, words)}`)
  }

  boolean(): boolean | undefined {
    const value = this.#scalar()
    if (typeof value === 'boolean') return value
    return this.wrong('true or false')
  }

  integer(least: number, most = 2 ** 31 - 1): number | undefined {
    const value = this.#scalar()
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
    const range = most === 2 ** 31 - 1 ? `${least} or more` : `from ${least} to ${most}`
    const unquote = typeof value === 'string' && /^\d+$/.test(value) ? `: take the quotes off, ${value}` : ''
    return this.wrong(`a whole number, ${range}`, unquote)
  }

  durationMs(leastMs: number, mostMs = Number.POSITIVE_INFINITY): number | undefined {
    const value = this.#scalar()
    const source = typeof value === 'number' ? this.#source() : value
    if (typeof source !== 'string') return this.wrong('an ISO 8601 duration as in "PT30S"')
    const read = parseDuration(source)
    if (read.kind === 'wrong')
      return this.mistake(`\`${this.path}\` must be an ISO 8601 duration, not \`${short(source)}\`: ${read.hint}`)
    if (read.ms === 0 && leastMs > 0) return this.mistake(`\`${this.path}\` must be longer than nothing`)
    if (read.ms < leastMs) return this.mistake(`\`${this.path}\` must be at least ${leastMs / 1000} s`)
    if (read.ms > mostMs) return this.mistake(`\`${this.path}\` must be at most ${mostMs / 1000} s`)
    return read.ms
  }

  /** A list's values. A list that is missing its dashes is pointed out. */
  list(): readonly Value[] {
    if (!isSeq(this.#node)) {
      this.wrong('a list', isMap(this.#node) ? ': put `- ` before its first line and indent the rest' : '')
      return []
    }
    return this.#node.items.map((item, i) => new Value(this.#sheet, item as Node, `${this.path}[${i}]`))
  }

  texts(): readonly string[] {
    return this.list().flatMap(item => item.text() ?? [])
  }

  /** A map of text to text, as labels, annotations and filters are. A null is an empty text, as an API server has it. */
  textMap(checkName?: (name: string, value: string) => string | undefined): Readonly<Record<string, string>> {
    return this.#texts(checkName, value => value.text())
  }

  /** As `textMap`, for values that no message may show. */
  secretMap(checkName?: (name: string, value: string) => string | undefined): Readonly<Record<string, string>> {
    return this.#texts(checkName, value => {
      if (typeof value.#scalar() === 'string') return value.text()
      return value.mistake(`\`${value.path}\` must be text: put it in quotes`)
    })
  }

  #texts(
    checkName: ((name: string, value: string) => string | undefined) | undefined,
    read: (value: Value) => string | undefined,
  ): Readonly<Record<string, string>> {
    const entries = this.entries().flatMap(({ name, offset, value }) => {
      const text = value.isNull() ? '' : read(value)
      if (text === undefined) return []
      const wrong = checkName?.(name, text)
      if (wrong !== undefined) this.#sheet.mistake(offset, wrong)
      return [[name, text] as const]
    })
    // `fromEntries` makes own properties of all names, `__proto__` too.
    return Object.fromEntries(entries)
  }

  /** The pairs of a map, merge keys (`<<`) written out. */
  entries(): readonly Entry[] {
    if (!isMap(this.#node)) {
      this.wrong('a map')
      return []
    }
    const entries = new Map<string, Entry>()
    for (const { key, value } of this.#node.items) {
      const name = this.#keyName(key as Node | null)
      if (name === undefined) continue
      if (name === '<<') {
        for (const entry of this.#merged(value as Node | null))
          if (!entries.has(entry.name)) entries.set(entry.name, entry)
      } else {
        const path = this.#pathTo(name)
        entries.set(name, {
          name,
          offset: startOf(key as Node),
          value: new Value(this.#sheet, (value as Node | null) ?? nothing(key as Node), path),
        })
      }
    }
    return [...entries.values()]
  }

  fields<const Name extends string>(shape: Shape<Name>): Fields<Name> {
    return new Fields(this.#sheet, this, this.entries(), shape, isMap(this.#node) ? 'open' : 'broken')
  }

  wrong(what: string, advice = ''): undefined {
    return this.mistake(`\`${this.path}\` must be ${what}, not ${this.#describe()}${advice}`)
  }

  #merged(node: Node | null): readonly Entry[] {
    const target = node !== null && isAlias(node) ? this.#sheet.target(node) : node
    if (target === null || target === undefined) return []
    if (!isSeq(target)) return new Value(this.#sheet, target, this.path).entries()
    return target.items.flatMap(item => new Value(this.#sheet, item as Node, this.path).entries()).reverse()
  }

  #keyName(key: Node | null): string | undefined {
    const node = key !== null && isAlias(key) ? this.#sheet.target(key) : key
    if (isScalar(node) && typeof node.value === 'string') return node.value
    if (isScalar(node) && typeof node.value === 'number') return node.source ?? String(node.value)
    if (isScalar(node) && typeof node.value === 'boolean')
      return this.#sheet.mistake(startOf(node), `the key ${node.source} is a boolean in YAML: write "${node.source}"`)
    return this.#sheet.mistake(node ? startOf(node) : startOf(this.#node), 'a key must be text')
  }

  #pathTo(name: string): string {
    if (!/^\w+$/.test(name)) return `${this.path}["${short(name)}"]`
    return this.path === '' ? name : `${this.path}.${name}`
  }

  #scalar(): unknown {
    return isScalar(this.#node) ? this.#node.value : undefined
  }

  #source(): string {
    return isScalar(this.#node) ? (this.#node.source ?? String(this.#node.value)) : ''
  }

  #describe(): string {
    if (isMap(this.#node)) return 'a map'
    if (isSeq(this.#node)) return 'a list'
    const value = this.#scalar()
    if (value === null || value === undefined) return 'nothing'
    if (typeof value === 'string') return value === '' ? 'an empty text' : `the text "${short(value)}"`
    return short(this.#source())
  }
}

/** The value of a key that has none, at the key's place. */
function nothing(key: Node): Node {
  const node = new Scalar(null)
  node.range = key.range ?? [0, 0, 0]
  return node
}

export interface Entry {
  readonly name: string
  /** Of the key. */
  readonly offset: number
  readonly value: Value
}

/** The fields of one map. Unknown ones have been reported when it is made. */
export class Fields<Name extends string> {
  readonly #sheet: Sheet
  readonly #owner: Value
  readonly #values = new Map<string, Value>()
  /** Known names that unknown ones were taken for: these are not missing as well. */
  readonly #meant = new Set<string>()
  /** `broken` and `absent` maps have been reported: what is missing in them is no further mistake. */
  readonly #state: 'open' | 'broken' | 'absent'

  constructor(
    sheet: Sheet,
    owner: Value,
    entries: readonly Entry[],
    shape: Shape<Name>,
    state: 'open' | 'broken' | 'absent',
  ) {
    this.#sheet = sheet
    this.#owner = owner
    this.#state = state
    for (const entry of entries) {
      if ((shape.known as readonly string[]).includes(entry.name)) this.#values.set(entry.name, entry.value)
      else this.#unread(entry, shape)
    }
  }

  /** The value that holds these fields. */
  get owner(): Value {
    return this.#owner
  }

  /** Undefined where the field is absent or null. */
  get(name: Name): Value | undefined {
    const value = this.#values.get(name)
    return value?.isNull() ? undefined : value
  }

  /** As `get`; an absent field is a mistake. */
  required(name: Name): Value | undefined {
    const value = this.get(name)
    if (value === undefined && !this.#meant.has(name)) this.miss(`missing field ${this.#full(name)}`)
    return value
  }

  /** Whether an unknown field was taken for one of these. */
  get misspelt(): boolean {
    return [...this.#meant].some(name => name !== '')
  }

  /** A mistake of what is not here, at the map's place; nothing where the map itself has been reported. */
  miss(message: string): undefined {
    if (this.#state === 'open') this.#owner.mistake(message)
  }

  /** The fields of a map in this one; as if empty where it is absent. */
  section<const Inner extends string>(name: Name, shape: Shape<Inner>): Fields<Inner> {
    const value = this.get(name)
    return value?.fields(shape) ?? new Fields(this.#sheet, this.#owner, [], shape, 'absent')
  }

  /** As `section`; where it is absent that is the one mistake. */
  requiredSection<const Inner extends string>(name: Name, shape: Shape<Inner>): Fields<Inner> {
    this.required(name)
    return this.section(name, shape)
  }

  items(name: Name): readonly Value[] {
    return this.get(name)?.list() ?? []
  }

  #full(name: string): string {
    return this.#owner.path === '' ? `\`${name}\`` : `\`${this.#owner.path}.${name}\``
  }

  #unread({ name, offset }: Entry, shape: Shape<Name>): void {
    if (shape.silent?.includes(name)) return
    if (shape.idle?.includes(name)) {
      this.#sheet.notice(offset, `${this.#full(name)} does nothing here`)
      return
    }
    const place = this.#owner.path === '' ? '' : ` in \`${this.#owner.path}\``
    const hint = Object.hasOwn(shape.hints ?? {}, name) ? shape.hints?.[name] : undefined
    if (hint === undefined) this.#meant.add(suggest(name, shape.known) ?? '')
    const legal = [...shape.known, ...(shape.idle ?? []), ...(shape.silent ?? [])]
    const ending = hint === undefined ? didYouMean(name, legal) : `: ${hint}`
    const message = `unknown field \`${short(name)}\`${place}${ending}`
    if (shape.lenient && ending === '') this.#sheet.notice(offset, `${message}, left alone`)
    else this.#sheet.mistake(offset, message)
  }
}

/** The fields that are defined: what an object with optional fields is made of. */
export function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

/** Long values are cut: a message stays one line. */
export function short(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
  return line.length > 60 ? `${line.slice(0, 57)}…` : line
}
