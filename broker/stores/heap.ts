/** A binary heap: the item that comes first by `before` is at the top. Equal items leave in any order. */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #before: (a: T, b: T) => boolean

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = items[up]
      if (parent === undefined || !this.#before(item, parent)) break
      items[at] = parent
      at = up
    }
    items[at] = item
  }

  pop(): T | undefined {
    const top = this.#items[0]
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) this.#sink(last)
    return top
  }

  /** Every item, in no order. */
  values(): Iterable<T> {
    return this.#items
  }

  /** Keeps only what `keep` accepts. */
  retain(keep: (item: T) => boolean): void {
    const kept = this.#items.filter(keep)
    this.#items.length = 0
    for (const item of kept) this.push(item)
  }

  #sink(item: T): void {
    const items = this.#items
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      let child = items[down]
      const right = items[down + 1]
      if (child !== undefined && right !== undefined && this.#before(right, child)) {
        down++
        child = right
      }
      if (child === undefined || !this.#before(child, item)) break
      items[at] = child
      at = down
    }
    items[at] = item
  }
}
