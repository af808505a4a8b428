import { findWorld } from '../standalone/state-file.ts'
import { Failure } from './failure.ts'

/** Where a command goes: origins of a door and of a console, without a slash at the end. */
export interface Place {
  readonly ingress: string
  readonly console: string
}

/** The world that runs for this folder, or the addresses that `weir dev` takes where they are free. */
export async function findPlace(cwd: string): Promise<Place> {
  const world = await findWorld(cwd)
  return world ?? { ingress: 'http://127.0.0.1:8080', console: 'http://127.0.0.1:9080' }
}

/** The console that was named, or the one of `findPlace`. */
export async function findConsole(named: string | undefined, cwd: string): Promise<string> {
  return named === undefined ? (await findPlace(cwd)).console : originOf(named, '--console')
}

/** @throws {Failure} when `text` is no http address. */
export function originOf(text: string, flag: string): string {
  return httpUrl(text, flag).origin
}

export function httpUrl(text: string, flag: string): URL {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new Failure('wrongInput', `${flag} must be an address as in http://127.0.0.1:9080, not ${JSON.stringify(text)}`)
}
