import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ISocketFactory } from 'kafkajs'

const KEEP_ALIVE_MS = 60_000

/** The connections of one client. */
export interface Sockets {
  /** Makes them as the library does. */
  readonly factory: ISocketFactory
  /**
   * Cuts what is left of them. The library forgets a connection that was being opened while it was told to end: nobody would
   * ever close it.
   */
  cut(): void
}

export function trackSockets(): Sockets {
  const sockets = new Set<Socket>()
  let over = false
  return {
    factory({ host, port, ssl, onConnect }) {
      const socket = ssl
        ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
        : connect({ host, port }, onConnect)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      if (over) socket.destroy(new Error('the client is closed'))
      return socket
    },
    cut() {
      over = true
      for (const socket of sockets) socket.destroy()
    },
  }
}
