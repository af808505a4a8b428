import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Line, tally, type Wish } from '../../examples/coffeeshop/tally.ts'

const made = (order: string, customer: string): Wish => ({ type: 'order.made', order, customer })
const cancelled = (order: string, customer: string): Wish => ({ type: 'order.cancelled', order, customer })
const brewed = (order: string, customer: string): Line => ({ type: 'coffee.brewed', order, customer })
const taken = (order: string, customer: string): Line => ({ type: 'coffee.cancelled', order, customer })

const wishes = [made('1', 'ann'), made('2', 'bob'), cancelled('1', 'ann'), made('3', 'ann')]

test('customers overtake each other, and nothing is wrong', () => {
  const lines = [brewed('2', 'bob'), brewed('1', 'ann'), taken('1', 'ann'), brewed('3', 'ann')]
  assert.deepEqual(tally(wishes, lines), { brewed: 3, cancelled: 1, missing: [], twice: [], disordered: [] })
})

test('what is missing, made twice or out of order is named', () => {
  const lines = [taken('1', 'ann'), brewed('1', 'ann'), brewed('2', 'bob'), brewed('2', 'bob')]
  assert.deepEqual(tally(wishes, lines), {
    brewed: 2,
    cancelled: 1,
    missing: ['made 3'],
    twice: ['made 2'],
    disordered: ['ann'],
  })
})
