import { noAttributes } from './attributes.ts'
import type { CloudEvent } from './event.ts'

/** Stands for `passed` among the attributes. No attribute can have this name. */
const PASSED = '-passed'

/** All of an event but its body and mode, as JSON text: an object of its attributes. `eventOf` reads it again. */
export function headText({ attributes, passed }: CloudEvent): string {
  return passed === undefined ? JSON.stringify(attributes) : JSON.stringify({ ...attributes, [PASSED]: passed })
}

/** @param text what `headText` made. @throws {SyntaxError} it is no JSON. */
export function eventOf(text: string, mode: CloudEvent['mode'], body: Uint8Array): CloudEvent {
  const attributes = Object.assign(noAttributes(), JSON.parse(text))
  const passed = attributes[PASSED]
  if (passed === undefined) return { mode, attributes, body }
  delete attributes[PASSED]
  return { mode, attributes, body, passed }
}
