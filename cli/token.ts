import { thisProcess } from '../runtime/outside.ts'
import { mint } from '../standalone/mint.ts'
import { EXIT, Failure } from './failure.ts'

/** `weir token --audience A`. @throws {Failure} */
export async function printToken(audience: string, subject: string | undefined): Promise<number> {
  const minted = await mint({ audience, subject }, thisProcess)
  if (minted.kind === 'failed') throw new Failure('failed', minted.reason)
  process.stdout.write(`${minted.token}\n`)
  return EXIT.done
}
