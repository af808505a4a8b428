/** How much there is in one JSON value, and in the attributes beside it. Evaluation costs what these say. */
export interface Extent {
  readonly bytes: number
  /** Values in it, of every depth. */
  readonly values: number
  /** Elements of the longest list, or keys of the widest map. */
  readonly elements: number
  /** Keys of the widest map. */
  readonly keys: number
  /** Characters of the longest text. */
  readonly text: number
}

/** Most ns that one evaluation may take, by the estimate; a measured one took less on every machine that was tried. */
export const COST_MAX = 5_000_000

/** What one step takes, in ns, as measured; the library looks at every key of a map whenever it is an operand. */
const STEP = 40
const PER_KEY = 300
const PER_VALUE = 300
const PER_ELEMENT = 60
/** An error that the language passes over: beside `||` and `&&`, and for one element of `all` and `exists`. */
const FAILURE = 2000

/** Times that a condition does each of these. Whatever it does, it does a number of times that its text tells. */
interface Work {
  steps: number
  /** Places at which an error may be passed over. */
  failures: number
  /** Looks at the keys of a map. */
  keys: number
  /** Goes through all of the data. */
  deep: number
  /** Reads one text, in ns for a character. */
  text: number
  /** The same for every text of the data, each once. */
  texts: number
  /** Goes through a list, without looking into its elements. */
  list: number
}

/** What a condition costs, ready for data of any extent. */
export interface Cost {
  readonly once: Readonly<Work>
  /** For each element of a loop. */
  readonly each: Readonly<Work>
}

/** An upper bound, ns. */
export function costOf({ once, each }: Cost, extent: Extent): number {
  return workOf(once, extent) + extent.elements * workOf(each, extent)
}

function workOf(work: Readonly<Work>, { bytes, values, elements, keys, text }: Extent): number {
  return (
    work.steps * STEP +
    work.failures * FAILURE +
    work.keys * keys * PER_KEY +
    work.deep * (values * PER_VALUE + bytes) +
    work.text * text +
    work.texts * bytes +
    work.list * elements * PER_ELEMENT
  )
}

/** The most that `bytes` of JSON can hold: good enough for most events, without a look into them. */
export function worstExtent(bytes: number): Extent {
  return { bytes, values: bytes / 2, elements: bytes / 2, keys: bytes / 2, text: bytes }
}

/** Looks at every value once. */
export function extentOf(
  data: unknown,
  attributes: Readonly<Record<string, string | undefined>>,
  bytes: number,
): Extent {
  let [values, elements, keys, text] = [0, 0, 0, 0]
  const rest: unknown[] = [data, attributes]
  while (rest.length > 0) {
    const one = rest.pop()
    if (typeof one === 'string') text = Math.max(text, one.length)
    if (typeof one !== 'object' || one === null) continue
    const inner: readonly unknown[] = Array.isArray(one) ? one : Object.values(one)
    values += inner.length
    elements = Math.max(elements, inner.length)
    if (inner !== one) keys = Math.max(keys, inner.length)
    for (const each of inner) {
      if (typeof each === 'object') rest.push(each)
      else if (typeof each === 'string' && each.length > text) text = each.length
    }
  }
  return { bytes, values, elements, keys, text }
}

/** What a value may be as large as: the whole data so many times, the element of a loop so many times. Scalars: neither. */
interface Size {
  readonly data: number
  readonly part: number
}

const SCALAR: Size = { data: 0, part: 0 }
const DATA: Size = { data: 1, part: 0 }
const PART: Size = { data: 0, part: 1 }

const LOOPS = new Set(['all', 'exists', 'exists_one', 'existsOne', 'map', 'filter'])
/** Functions of one value, and what reading a character of it takes, ns. */
const FUNCTIONS = new Map([
  ['size', 5],
  ['lowerAscii', 2],
  ['upperAscii', 2],
  ['trim', 2],
  ['int', 3],
  ['uint', 3],
  ['double', 3],
  ['bool', 2],
  ['string', 2],
  ['timestamp', 2],
  ['dyn', 0],
  ['type', 0],
])
const KEEPS_SIZE = new Set(['lowerAscii', 'upperAscii', 'trim', 'string', 'dyn'])
const PARTS_OF_TIME = /^get[A-Z][A-Za-z]+$/
const PATTERN_MAX = 64
const KNOWN =
  'size, contains, startsWith, endsWith, lowerAscii, upperAscii, trim, int, double, string, bool, timestamp, has'

/** Why a condition is not taken, in words. */
export class TooCostlyError extends Error {
  readonly code = 'TOO_COSTLY'
}

/**
 * What the tree of a condition costs, as the parser of the library gives it. Pure.
 * @throws {TooCostlyError} when its text does not tell.
 */
export function weigh(tree: unknown): Cost {
  const scale = new Scale()
  scale.size(tree)
  return { once: scale.once, each: scale.each }
}

class Scale {
  readonly once = nothing()
  readonly each = nothing()
  /** The variable of the loop that is being weighed. */
  #variable: string | undefined

  /** Adds what `node` costs. @returns how large its value may be. */
  size(node: unknown): Size {
    this.#here.steps++
    if (!isNode(node)) return SCALAR
    const { op, args } = node
    const parts: readonly unknown[] = Array.isArray(args) ? args : [args]
    switch (op) {
      case 'value':
        return SCALAR
      case 'id':
        return args === this.#variable ? PART : DATA
      case '.':
        return this.size(parts[0])
      case '[]': {
        this.#look(this.size(parts[1]))
        return this.size(parts[0])
      }
      case '==':
      case '!=':
      case '<':
      case '<=':
      case '>':
      case '>=':
        this.#compare(this.size(parts[0]), this.size(parts[1]))
        return SCALAR
      case 'in': {
        const [left, right] = [this.size(parts[0]), this.size(parts[1])]
        this.#compare(left, right)
        this.#add('list', right, 1)
        return SCALAR
      }
      case '+': {
        const both = sum(this.size(parts[0]), this.size(parts[1]))
        this.#look(both)
        if (!parts.some(isNumber)) this.#add('deep', both, 1)
        return both
      }
      case 'list':
      case 'map':
        return parts.flat().reduce<Size>((all, part) => sum(all, this.size(part)), SCALAR)
      case '?:':
        this.#look(this.size(parts[0]))
        return sum(this.size(parts[1]), this.size(parts[2]))
      case 'call':
        return this.#call(String(parts[0]), undefined, listOf(parts[1]))
      case 'rcall':
        return this.#call(String(parts[0]), parts[1], listOf(parts[2]))
      case '&&':
      case '||':
        this.#here.failures += parts.length
        for (const part of parts) this.#look(this.size(part))
        return SCALAR
      case '!_':
      case '-_':
      case '-':
      case '*':
      case '/':
      case '%':
        for (const part of parts) this.#look(this.size(part))
        return SCALAR
      default:
        throw new TooCostlyError(`\`${op}\` is not taken`)
    }
  }

  #call(name: string, receiver: unknown, args: readonly unknown[]): Size {
    if (receiver !== undefined && LOOPS.has(name)) return this.#loop(name, receiver, args)
    if (name === 'has') return this.size(args[0]) && SCALAR
    const values = receiver === undefined ? args : [receiver, ...args]
    const [value, argument] = values
    if (name === 'contains') {
      const pattern = literal(argument)
      if (pattern === undefined || pattern.length > PATTERN_MAX)
        throw new TooCostlyError(`\`contains\` takes a text of at most ${PATTERN_MAX} characters, written out`)
      this.#read(this.size(value), 16)
      return SCALAR
    }
    if (name === 'startsWith' || name === 'endsWith') {
      this.#look(this.size(value))
      this.#read(this.size(argument), 1)
      return SCALAR
    }
    const perCharacter = FUNCTIONS.get(name)
    if (values.length === 1 && perCharacter !== undefined) {
      const size = this.size(value)
      this.#read(size, perCharacter)
      return KEEPS_SIZE.has(name) ? size : SCALAR
    }
    if (values.length === 1 && PARTS_OF_TIME.test(name)) return this.size(value) && SCALAR
    if (name === 'duration' && literal(value) !== undefined) return SCALAR
    if (name === 'matches') throw new TooCostlyError('`matches` is not taken: write startsWith, endsWith or contains')
    throw new TooCostlyError(
      `\`${name}\` is not taken here; there are ${KNOWN}, and the loops all, exists, map and filter`,
    )
  }

  #loop(name: string, subject: unknown, [variable, ...body]: readonly unknown[]): Size {
    if (this.#variable !== undefined) throw new TooCostlyError(`\`${name}\` stands inside another loop`)
    if (!isPart(subject))
      throw new TooCostlyError(`\`${name}\` goes through a part of data, as in data.items.${name}(…)`)
    const named = isNode(variable) && variable.op === 'id' ? String(variable.args) : ''
    if (named === 'data' || named === 'event')
      throw new TooCostlyError(`\`${name}\` needs another name than \`${named}\` for its element`)
    const size = this.size(subject)
    this.#look(size)
    this.#add('list', size, 1)
    this.#variable = named
    if (name === 'all' || name === 'exists') this.each.failures++
    let result = SCALAR
    for (const part of body) {
      result = this.size(part)
      this.#look(result)
    }
    this.#variable = undefined
    if (name !== 'map' && name !== 'filter') return SCALAR
    // A list that was made takes what its elements take, and nothing goes through it but one operator.
    if (name === 'map' && result.data > 0) throw new TooCostlyError('`map` may only give parts of its element')
    return { data: Math.max(1, result.part), part: 0 }
  }

  get #here(): Work {
    return this.#variable === undefined ? this.once : this.each
  }

  /** An operand: the library tells its type. */
  #look(size: Size): void {
    this.#add('keys', size, 1)
  }

  #read(size: Size, perCharacter: number): void {
    this.#look(size)
    this.#add('text', size, perCharacter)
  }

  /** Goes no deeper than the smaller one of the two. */
  #compare(left: Size, right: Size): void {
    this.#look(left)
    this.#look(right)
    if (isScalar(left) || isScalar(right)) return
    this.#add('deep', left.data === 0 ? left : right.data === 0 ? right : sum(left, right), 1)
  }

  /** The elements of a loop are parts of the data that share nothing: all of them together are no more than the data. */
  #add(kind: Exclude<keyof Work, 'steps' | 'failures' | 'texts'>, { data, part }: Size, times: number): void {
    this.#here[kind] += data * times
    if (kind === 'text') this.once.texts += part * times
    else this.once.deep += part * times
  }
}

function nothing(): Work {
  return { steps: 0, failures: 0, keys: 0, deep: 0, text: 0, texts: 0, list: 0 }
}

/** `data.a["b"]`, or what `filter` leaves of it. */
function isPart(node: unknown): boolean {
  if (!isNode(node)) return false
  const { op, args } = node
  if (op === 'id') return args === 'data' || args === 'event'
  if (!Array.isArray(args)) return false
  if (op === 'rcall') return args[0] === 'filter' && isPart(args[1])
  return (op === '.' || op === '[]') && isPart(args[0])
}

interface Node {
  readonly op: string
  readonly args: unknown
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'op' in value && typeof value.op === 'string' && 'args' in value
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function literal(node: unknown): string | undefined {
  return isNode(node) && node.op === 'value' && typeof node.args === 'string' ? node.args : undefined
}

function isNumber(node: unknown): boolean {
  return isNode(node) && node.op === 'value' && (typeof node.args === 'number' || typeof node.args === 'bigint')
}

function isScalar({ data, part }: Size): boolean {
  return data === 0 && part === 0
}

function sum(a: Size, b: Size): Size {
  return { data: a.data + b.data, part: a.part + b.part }
}
