import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Certified } from './certificates.ts'

/** What a server shows, PEM. */
type Identity = Pick<Certified, 'cert' | 'key'>

export interface SecureSubscriber extends AsyncDisposable {
  /** `https://localhost:…` */
  readonly origin: string
  readonly port: number
  /** What came, in order. */
  readonly ids: readonly string[]
  /** New connections see this certificate. */
  renew(identity: Identity): void
}

/** A real HTTPS server on a free port. `answer` is called when a request has come whole. */
export async function openSecureSubscriber(
  options: Identity & ServerOptions,
  answer: RequestListener = (_request, response) => void response.end(),
): Promise<SecureSubscriber> {
  const ids: string[] = []
  const server = createServer(options, (request, response) => {
    request.resume().once('end', () => {
      ids.push(String(request.headers['ce-id']))
      answer(request, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    origin: `https://localhost:${port}`,
    port,
    ids,
    renew: ({ cert, key }) => server.setSecureContext({ cert, key }),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}
