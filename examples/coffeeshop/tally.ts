/** What the board said of an order, in the order of its lines. */
export type Line = {
  readonly type: 'coffee.brewed' | 'coffee.cancelled'
  readonly order: string
  readonly customer: string
}

/** One thing that a customer asked for. */
export interface Wish {
  readonly order: string
  readonly customer: string
  /** A cancellation follows its order. */
  readonly type: 'order.made' | 'order.cancelled'
}

export interface Tally {
  readonly brewed: number
  readonly cancelled: number
  /** Wishes that nothing came of. */
  readonly missing: readonly string[]
  /** Coffees that were made more than once. */
  readonly twice: readonly string[]
  /** Customers whose lines are not in the order of their wishes. */
  readonly disordered: readonly string[]
}

/** What became of `wishes`, going by the board. A line that comes again counts once for the order. Pure. */
export function tally(wishes: readonly Wish[], lines: readonly Line[]): Tally {
  const keyOf = ({ type, order }: Wish | Line) =>
    `${type.split('.')[1] === 'cancelled' ? 'cancelled' : 'made'} ${order}`
  const firsts = new Map<string, Line>()
  const counts = new Map<string, number>()
  for (const line of lines) {
    const key = keyOf(line)
    if (!firsts.has(key)) firsts.set(key, line)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const of = <T extends { readonly customer: string }>(list: readonly T[]) => Map.groupBy(list, one => one.customer)
  const seen = of([...firsts.values()])
  const disordered = [...of(wishes)].filter(([customer, wanted]) => {
    const got = (seen.get(customer) ?? []).map(keyOf)
    const expected = wanted.map(keyOf).filter(key => firsts.has(key))
    return got.join() !== expected.join()
  })
  return {
    brewed: [...firsts.values()].filter(line => line.type === 'coffee.brewed').length,
    cancelled: [...firsts.values()].filter(line => line.type === 'coffee.cancelled').length,
    missing: wishes.map(keyOf).filter(key => !firsts.has(key)),
    twice: [...counts].filter(([key, count]) => count > 1 && key.startsWith('made')).map(([key]) => key),
    disordered: disordered.map(([customer]) => customer),
  }
}
