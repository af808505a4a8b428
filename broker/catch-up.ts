import { compileFilters } from '../contract/filter.ts'
import type { BrokerId } from '../contract/ids.ts'
import type { TriggerRoute } from '../contract/routes.ts'
import type { Log } from '../runtime/log.ts'
import type { Archive } from './archive.ts'

const PAGE = 500

/**
 * Owes a new Trigger what was kept before it and its filters let pass, where it asks for that by `start`. Goes on where an
 * earlier process stopped: a page that was owed and not noted is owed again. Never rejects.
 * @param stop is looked at between pages.
 */
export async function catchUp(
  broker: BrokerId,
  { id, filters, start }: TriggerRoute,
  archive: Archive,
  log: Log,
  stop: () => boolean,
): Promise<void> {
  try {
    const range = await archive.catchUp(id)
    if (range === undefined) return
    const wants = compileFilters(filters)
    const sinceMs = typeof start === 'number' ? start : 0
    let [after, events] = [range.from, 0]
    while (after < range.to && !stop()) {
      const page = await archive.events({ broker, after, sinceMs, limit: PAGE })
      const within = page.events.filter(one => one.seq <= range.to)
      const wanted = within.filter(one => !one.damaged && wants(one.event)).map(one => one.seq)
      if (wanted.length > 0) events += await archive.owe(id, wanted)
      after = page.next === undefined || within.length < page.events.length ? range.to : page.next
      await archive.caughtUp(id, after)
    }
    log.info({ trigger: id, events, upTo: after }, 'a new Trigger was given what was kept before it')
  } catch (error) {
    // What is left is done by the next start, or with the next change of the routes.
    log.warn({ err: error, trigger: id }, 'a new Trigger could not be given all that was kept before it yet')
  }
}
