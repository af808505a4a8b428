import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const START_WITHIN_MS = 30_000
const TRUE_WITHIN_MS = 15_000
const POLL_MS = 25

/** The first browser on the PATH; undefined where there is none. */
export async function findChromium(): Promise<string | undefined> {
  const folders = (process.env.PATH ?? '').split(delimiter)
  for (const path of folders.flatMap(folder => names.map(name => join(folder, name)))) {
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (there) return path
  }
  return undefined
}

export interface Look {
  readonly width: number
  readonly height: number
  readonly scheme: 'light' | 'dark'
}

/** A tab of a browser without a screen, driven by the Chrome DevTools Protocol. */
export interface Tab extends AsyncDisposable {
  /** Errors, exceptions and violations of the page's policy, in the browser's words. */
  readonly problems: readonly string[]
  evaluate(expression: string): Promise<unknown>
  /** Resolves when `expression` is true. @throws after a while, with the page's text. */
  until(expression: string): Promise<void>
  /** Types one key where the focus is. */
  press(key: string): Promise<void>
  screenshot(path: string): Promise<void>
}

/** Opens `url` in a browser of its own, with an empty profile. */
export async function openTab(chromium: string, url: string, look: Look): Promise<Tab> {
  await using opening = new AsyncDisposableStack()
  const profile = await mkdtemp(join(tmpdir(), 'weir-chromium-'))
  opening.defer(() => rm(profile, { recursive: true, force: true, maxRetries: 10 }))
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--hide-scrollbars']
  const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync']
  const places = [`--user-data-dir=${profile}`, '--remote-debugging-port=0', 'about:blank']
  const browser = spawn(chromium, [...flags, ...quiet, ...places], { stdio: 'ignore' })
  opening.defer(() => ended(browser))
  const protocol = opening.use(await openProtocol(await debuggerUrl(profile)))

  const problems: string[] = []
  protocol.on('Runtime.exceptionThrown', told => problems.push(JSON.stringify(told)))
  protocol.on('Log.entryAdded', told => problems.push(JSON.stringify(told)))
  const { width, height, scheme } = look
  await protocol.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
  await protocol.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] })
  for (const domain of ['Runtime', 'Log', 'Page']) await protocol.send(`${domain}.enable`, {})
  await protocol.send('Page.navigate', { url })

  async function evaluate(expression: string): Promise<unknown> {
    const answer = await protocol.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
    const { result, exceptionDetails } = answer as { result: { value?: unknown }; exceptionDetails?: unknown }
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`)
    return result.value
  }
  const open = opening.move()
  return {
    problems,
    evaluate,
    async until(expression) {
      const untilMs = performance.now() + TRUE_WITHIN_MS
      while ((await evaluate(expression)) !== true) {
        if (performance.now() > untilMs) {
          throw new Error(`Never true: ${expression}\n${await evaluate('document.body.innerText')}\n${problems}`)
        }
        await pause(POLL_MS)
      }
    },
    async press(key) {
      const text = key.length === 1 ? { text: key } : {}
      await protocol.send('Input.dispatchKeyEvent', { type: 'keyDown', key, ...text, ...virtualKey(key) })
      await protocol.send('Input.dispatchKeyEvent', { type: 'keyUp', key })
    },
    async screenshot(path) {
      const { data } = (await protocol.send('Page.captureScreenshot', { format: 'png' })) as { data: string }
      await writeFile(path, Buffer.from(data, 'base64'))
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** A button acts on Enter only when the key also carries its code and its character. */
function virtualKey(key: string): object {
  return key === 'Enter' ? { windowsVirtualKeyCode: 13, text: '\r' } : {}
}

async function ended(browser: ChildProcess): Promise<void> {
  if (browser.exitCode !== null || browser.signalCode !== null) return
  const gone = new Promise(resolve => browser.once('exit', resolve))
  browser.kill('SIGKILL')
  await gone
}

/** The browser writes its port into its profile; a page of it answers on that port. */
async function debuggerUrl(profile: string): Promise<string> {
  const untilMs = performance.now() + START_WITHIN_MS
  for (;;) {
    try {
      const [port] = (await readFile(join(profile, 'DevToolsActivePort'), 'utf8')).split('\n')
      const pages = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
        type: string
        webSocketDebuggerUrl: string
      }[]
      const page = pages.find(({ type }) => type === 'page')
      if (page !== undefined) return page.webSocketDebuggerUrl
    } catch (error) {
      if (performance.now() > untilMs) throw new Error('Chromium did not start', { cause: error })
    }
    if (performance.now() > untilMs) throw new Error('Chromium opened no page')
    await pause(POLL_MS)
  }
}

interface Protocol extends Disposable {
  send(method: string, params: object): Promise<unknown>
  on(method: string, listener: (params: unknown) => void): void
}

async function openProtocol(url: string): Promise<Protocol> {
  const socket = new WebSocket(url)
  const asked = new Map<number, PromiseWithResolvers<unknown>>()
  const listeners = new Map<string, (params: unknown) => void>()
  let last = 0
  socket.addEventListener('message', ({ data }) => {
    const { id, method, params, result, error } = JSON.parse(String(data))
    if (method !== undefined) listeners.get(method)?.(params)
    else if (error !== undefined) asked.get(id)?.reject(new Error(JSON.stringify(error)))
    else asked.get(id)?.resolve(result)
    asked.delete(id)
  })
  socket.addEventListener('close', () => {
    for (const { reject } of asked.values()) reject(new Error('The browser is gone'))
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', () => reject(new Error(`Cannot reach ${url}`)))
  })
  return {
    send(method, params) {
      const answer = Promise.withResolvers<unknown>()
      asked.set(++last, answer)
      socket.send(JSON.stringify({ id: last, method, params }))
      return answer.promise
    },
    on: (method, listener) => void listeners.set(method, listener),
    [Symbol.dispose]: () => socket.close(),
  }
}
