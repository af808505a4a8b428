import type { CloudEvent } from '../../event/event.ts'
import { type Expression, typeOf, type Value, zeroOf } from './expression.ts'
import { type CesqlErrorKind, compileSteps, Failure } from './steps.ts'

export type { CesqlErrorKind } from './steps.ts'

export interface CesqlError {
  readonly kind: CesqlErrorKind
  /** Offset in the text of what failed. */
  readonly at: number
  readonly message: string
}

export interface Evaluated {
  readonly value: Value
  readonly error?: CesqlError
}

/** Pure and total: any event, never throws. */
export type Evaluator = (event: CloudEvent) => Evaluated

/**
 * Evaluates in fail-fast mode (CESQL 1.0 §4.1): the first error ends it, and the value is what the part that failed gives
 * where that is the whole expression, else the zero value of the expression's type.
 */
export function evaluate(expression: Expression, event: CloudEvent): Evaluated {
  return compileEvaluator(expression)(event)
}

/** As `evaluate`, for many events. */
export function compileEvaluator(expression: Expression): Evaluator {
  const run = compileSteps(expression)
  const zero = zeroOf(typeOf(expression))
  return event => {
    const value = run(event.attributes)
    if (!(value instanceof Failure)) return { value }
    const { kind, origin, message, about } = value
    const words = about === undefined ? message : `${JSON.stringify(about.slice(0, 60))} ${message}`
    return { value: origin === expression ? value.value : zero, error: { kind, at: origin.at, message: words } }
  }
}

/** Whether the expression gives TRUE without an error: nothing else passes a filter (CESQL 1.0 §1.2). */
export function compilePredicate(expression: Expression): (event: CloudEvent) => boolean {
  const run = compileSteps(expression)
  return event => run(event.attributes) === true
}
