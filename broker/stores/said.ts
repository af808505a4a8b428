import type { AttemptRecord, Failure } from '../store.ts'

/** Whether `text` occurs in what was said of a delivery, whatever its case. Undefined occurs everywhere. */
export function says(
  { failure, attempts }: { readonly failure: Failure | undefined; readonly attempts: readonly AttemptRecord[] },
  text: string | undefined,
): boolean {
  if (text === undefined) return true
  const wanted = text.toLowerCase()
  const words = [
    failure?.data,
    failure?.destination,
    failure && String(failure.code),
    ...attempts.map(one => one.words),
  ]
  return words.some(one => one?.toLowerCase().includes(wanted) === true)
}
