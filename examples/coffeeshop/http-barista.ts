import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A barista as people run services without a broker: a process, an address. */
export class HttpBarista implements Disposable {
  #child: ReturnType<typeof spawn> | undefined
  #port = 0

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`
  }

  async start(): Promise<void> {
    const port = 19_500 + Math.floor(400 * Math.random())
    const env = { ...process.env, PORT: String(port), HOST: '127.0.0.1' }
    this.#child = spawn(process.execPath, [join(import.meta.dirname, 'barista.mjs')], { env, stdio: 'ignore' })
    this.#port = port
    for (let tries = 0; tries < 200; tries++) {
      const probe = { order: '0', customer: 'nobody' }
      const asked = { method: 'POST', body: JSON.stringify(probe), headers: { 'ce-type': 'order.cancelled' } }
      const up = await fetch(this.url, asked).catch(() => undefined)
      if (up !== undefined) return
      await sleep(50)
    }
    throw new Error('the HTTP barista does not start')
  }

  kill(): void {
    this.#child?.kill('SIGKILL')
  }

  [Symbol.dispose](): void {
    this.kill()
  }
}
