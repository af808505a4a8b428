import { createHmac } from 'node:crypto'
import { Agent, request } from 'node:http'

/** An account of Azure Storage, or of its emulator, and one queue in it. */
export interface PutTarget {
  /** `http://127.0.0.1:10001/devstoreaccount1` */
  readonly accountUrl: string
  readonly account: string
  readonly key: string
  readonly queue: string
}

/** Requests under way at once. */
const PARALLEL = 8
const API_VERSION = '2024-11-04'

/**
 * Makes the queue unless it is there, and puts `hellomeetup1` … `hellomeetup<count>` on it, each in base64, over the plain
 * REST API (Azure Storage: "Put Message", "Authorize with Shared Key").
 * @throws at the first answer that is not 2xx.
 */
export async function putMessages(target: PutTarget, count: number, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL })
  try {
    await send('PUT', `/${target.queue}`, '', target, agent, signal)
    let next = 1
    const worker = async () => {
      while (next <= count) {
        const text = Buffer.from(`hellomeetup${next++}`).toString('base64')
        const xml = `<QueueMessage><MessageText>${text}</MessageText></QueueMessage>`
        await send('POST', `/${target.queue}/messages`, xml, target, agent, signal)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL }, worker))
  } finally {
    agent.destroy()
  }
}

function send(method: string, path: string, body: string, target: PutTarget, agent: Agent, signal: AbortSignal) {
  const url = new URL(target.accountUrl + path)
  const headers = { 'x-ms-date': new Date().toUTCString(), 'x-ms-version': API_VERSION }
  const length = Buffer.byteLength(body)
  const all = {
    ...headers,
    authorization: `SharedKey ${target.account}:${sign(method, url.pathname, length, headers, target)}`,
    'content-length': length,
    ...(body !== '' && { 'content-type': 'application/xml' }),
  }
  return new Promise<void>((resolve, reject) => {
    const sent = request(url, { method, headers: all, agent, signal }, response => {
      let answer = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        answer = (answer + piece).slice(0, 1000)
      })
      response.on('error', reject)
      response.on('end', () => {
        const status = response.statusCode ?? 0
        if (status >= 200 && status < 300) resolve()
        else reject(new Error(`${method} ${url} answered ${status}: ${answer}`))
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

function sign(
  method: string,
  path: string,
  length: number,
  headers: Readonly<Record<string, string>>,
  { account, key }: PutTarget,
): string {
  const named = Object.entries(headers).map(([name, value]) => `${name}:${value}`)
  const contentType = length > 0 ? 'application/xml' : ''
  // Encoding, language, length, MD5, type, date, four conditions, range; then the x-ms- headers and the resource.
  const standard = ['', '', length > 0 ? String(length) : '', '', contentType, '', '', '', '', '', '']
  const text = [method, ...standard, ...named, `/${account}${path}`].join('\n')
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64')
}
