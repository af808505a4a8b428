import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A real service of Azure Storage on loopback, of queues or of blobs: Azurite, which keeps everything in memory. */
export interface Azurite extends AsyncDisposable {
  /** `http://127.0.0.1:41234/devstoreaccount1`, without a slash at the end. */
  readonly url: string
  readonly connectionString: string
  readonly pid: number
  /** Kills it as a crash would: all that it held is gone. */
  kill(): Promise<void>
}

export const ACCOUNT = 'devstoreaccount1'
/** Microsoft's published key of every emulator: no secret. */
export const ACCOUNT_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

const START_MS = 60_000
/** The pipe on its standard input ends with our process, however that ends; then it ends too. */
const END_WITH_PARENT = "data:text/javascript,process.stdin.on('end',()=>process.exit()).resume()"

/**
 * Starts one of Azurite's services. It never outlives the process that calls this.
 * @param port 0 takes a free one.
 * @throws when it does not listen within a minute; the message has its last words.
 */
export async function openAzurite(port = 0, service: 'queue' | 'blob' = 'queue'): Promise<Azurite> {
  const entry = fileURLToPath(
    service === 'blob'
      ? import.meta.resolve('azurite/dist/src/blob/main.js')
      : import.meta.resolve('azurite/dist/src/queue/main.js'),
  )
  const flags = [`--${service}Host`, '127.0.0.1', `--${service}Port`, String(port)]
  const quiet = ['--inMemoryPersistence', '--silent', '--skipApiVersionCheck', '--disableTelemetry']
  const child = spawn(process.execPath, ['--import', END_WITH_PARENT, entry, ...flags, ...quiet], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: tmpdir(),
    // A group of its own: Ctrl-C is for the program that started it, which still needs it while it drains.
    detached: true,
  })
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await exited
  }
  const origin = await listening(child).catch(async (error: unknown) => {
    await end('SIGKILL')
    throw error
  })
  const url = `${origin}/${ACCOUNT}`
  return {
    url,
    connectionString: `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${ACCOUNT_KEY};${service === 'blob' ? 'Blob' : 'Queue'}Endpoint=${url};`,
    pid: child.pid ?? 0,
    kill: () => end('SIGKILL'),
    // It answers SIGTERM only when its last connection has ended; there is nothing to save.
    [Symbol.asyncDispose]: () => end('SIGKILL'),
  }
}

/** The address it says it listens on. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let words = ''
    const fail = (why: string) => reject(new Error(`Azurite ${why}: ${words.trim() || 'it said nothing'}`))
    const late = setTimeout(() => fail(`does not listen after ${START_MS / 1000} s`), START_MS)
    child.once('error', error => fail(`cannot be started (${error.message})`))
    child.once('exit', code => fail(`ended with code ${code}`))
    child.once('exit', () => clearTimeout(late))
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', line => {
        words = `${words}\n${line}`.slice(-2000)
        const found = /successfully listens on (http:\S+)/.exec(line)?.[1]
        if (found === undefined) return
        clearTimeout(late)
        resolve(found.replace(/\/$/, ''))
      })
    }
  })
}
