import type { PauseView } from '../contract/api.ts'
import { postOne } from './api.ts'
import { EXIT } from './failure.ts'
import { pathOfName } from './names.ts'
import { findConsole } from './place.ts'

/** `weir pause TRIGGER` and `weir resume TRIGGER`. @throws {Failure} */
export async function pause(
  trigger: string,
  action: 'pause' | 'resume',
  options: { readonly console?: string },
): Promise<number> {
  const origin = await findConsole(options.console, process.cwd())
  const path = pathOfName(trigger, 'TRIGGER')
  const { paused, kept } = await postOne<PauseView>(origin, `triggers/${path}/${action}`, {})
  const until = kept ? '' : ', until this world ends (--data keeps it)'
  const words = paused ? 'is paused: its events wait' : 'goes on'
  process.stdout.write(`${path} ${words}${until}\n`)
  return EXIT.done
}
