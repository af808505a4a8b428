import { get as getHttp, type IncomingMessage } from 'node:http'
import { get as getHttps } from 'node:https'

const BYTES_MAX = 256 << 10

/**
 * One JSON document over HTTP(S). Redirects are not followed: what is asked for was named by an administrator.
 * @throws in words, when it cannot be had or is larger than 256 KiB.
 */
export function fetchDocument(url: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const get = url.startsWith('https:') ? getHttps : getHttp
    const asked = get(url, { agent: false, signal, headers: { accept: 'application/json' } }, answer => {
      read(answer).then(resolve, reject)
    })
    asked.once('error', reject)
  })
}

async function read(answer: IncomingMessage): Promise<unknown> {
  if (answer.statusCode !== 200) {
    answer.destroy()
    throw new Error(`answered ${answer.statusCode}`)
  }
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of answer as AsyncIterable<Buffer>) {
    bytes += piece.byteLength
    // Leaving the loop ends the connection.
    if (bytes > BYTES_MAX) throw new Error(`answered more than ${BYTES_MAX} bytes`)
    pieces.push(piece)
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString())
  } catch {
    throw new Error('answered something that is not JSON')
  }
}
