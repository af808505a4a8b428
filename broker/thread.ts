import { getCompileCacheDir } from 'node:module'
import { dirname, extname } from 'node:path'
import { Worker } from 'node:worker_threads'

/** What a thread has in hand is small; without a limit V8 lets garbage grow to three times 32 MB. */
const YOUNG_MAX_MB = 16

/** A thread does not inherit the compile cache of its process; without one it loads the type stripper, 17 MB of it. */
function compileCache(): Record<string, string> {
  const dir = getCompileCacheDir()
  return dir === undefined ? {} : { NODE_COMPILE_CACHE: dirname(dir) }
}

/**
 * Starts a thread.
 * @param module its URL without the ending, which is that of this file: `.ts` in the repository, `.js` in a package.
 * @param told what it finds as `workerData`.
 */
export function startThread(name: string, module: URL, told: unknown): Worker {
  return new Worker(new URL(`${module.href}${extname(import.meta.url)}`), {
    workerData: told,
    name,
    env: compileCache(),
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MAX_MB },
  })
}
