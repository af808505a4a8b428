import { resolve } from 'node:path'
import { BROKER_DEFAULTS, type BrokerConfig, type TlsDoor } from '../broker/config.ts'
import { isFree, nextFreePort } from './ports.ts'

/** What a local world is told at start. */
export interface StandaloneConfig {
  /** Files and folders of YAML, relative to `cwd`. */
  readonly paths: readonly string[]
  readonly cwd: string
  /** Of the door and of the console; undefined: the usual one, or the next free one; 0: any free one. */
  readonly port: number | undefined
  readonly consolePort: number | undefined
  /** Of the door for webhooks and sinks, which is only opened where something is behind it; as the two above. */
  readonly webhookPort?: number | undefined
  /** A door with TLS beside the plain one; undefined: none. Files are relative to `cwd`. */
  readonly tls?: TlsDoor | undefined
  /** Keeps the store; undefined: it goes with the process. */
  readonly dataDir: string | undefined
  /** Nothing is written to disk. */
  readonly memory: boolean
  /** `namespace/name` of a Broker that exists whatever the YAML says; undefined: `default/default`, if the YAML has none. */
  readonly broker: string | undefined
  /** As in the broker's configuration; undefined: none. */
  readonly deliveryThreads?: BrokerConfig['deliveryThreads'] | undefined
}

/** Asked for, from the start. Otherwise one, once it is needed, where it does not take its time from the others (decision 0010). */
export function deliveryThreads(asked: number | undefined, cores: number): BrokerConfig['deliveryThreads'] {
  return asked === undefined ? { count: cores < 4 ? 0 : 1, from: 'busy' } : { count: asked, from: 'start' }
}

/** Loopback: whoever is on the network has no business with a laptop's broker. */
export const HOST = '127.0.0.1'
export const DEFAULT_BROKER = 'default/default'
const DOOR = { what: 'the ingress', flag: '--port', usual: BROKER_DEFAULTS.port }
const CONSOLE = { what: 'the console', flag: '--console-port', usual: 9080 }
const WEBHOOKS = { what: 'the door for webhooks and sinks', flag: '--webhook-port', usual: 8081 }
const PORT_TRIES = 50

export function brokerConfig(config: StandaloneConfig, port: number): BrokerConfig {
  const { cwd, dataDir, memory, deliveryThreads = BROKER_DEFAULTS.deliveryThreads } = config
  const tls = config.tls && {
    ...config.tls,
    certFile: resolve(cwd, config.tls.certFile),
    keyFile: resolve(cwd, config.tls.keyFile),
  }
  return { ...BROKER_DEFAULTS, host: HOST, port, tls, dataDir, memory, deliveryThreads, retentionMaxBytes: 256 << 20 }
}

/** A port that was asked for is taken. */
export class PortTakenError extends Error {
  readonly code = 'port-taken'
  override readonly name = 'PortTakenError'
  readonly port: number

  constructor(port: number, what: string, flag: string) {
    super(`port ${port} of ${what} is taken by another process; end it, or choose another port with ${flag}`)
    this.port = port
  }
}

export interface Ports {
  readonly port: number
  readonly consolePort: number
  /** What is not as usual, in words. */
  readonly notices: readonly string[]
}

/** The ports to listen on. @throws {PortTakenError} for one that was asked for. */
export async function choosePorts(
  config: Pick<StandaloneConfig, 'port' | 'consolePort' | 'webhookPort'>,
): Promise<Ports> {
  const door = await choosePort(config.port, DOOR)
  const page = await choosePort(config.consolePort, CONSOLE, door.port)
  // Nothing listens there yet, but what was asked for in vain is said at once.
  if (config.webhookPort !== undefined) {
    const { port } = await chooseWebhookPort(config.webhookPort)
    if (port !== 0 && (port === door.port || port === page.port))
      throw new PortTakenError(port, WEBHOOKS.what, WEBHOOKS.flag)
  }
  return { port: door.port, consolePort: page.port, notices: [...door.notices, ...page.notices] }
}

/** The port of the door for webhooks, `asked` as in the configuration. @throws {PortTakenError} */
export function chooseWebhookPort(asked: number | undefined): Promise<{ port: number; notices: readonly string[] }> {
  return choosePort(asked, WEBHOOKS)
}

async function choosePort(
  asked: number | undefined,
  { what, flag, usual }: typeof DOOR,
  notThis?: number,
): Promise<{ port: number; notices: string[] }> {
  if (asked === 0) return { port: 0, notices: [] }
  if (asked !== undefined) {
    if (asked === notThis || !(await isFree(HOST, asked))) throw new PortTakenError(asked, what, flag)
    return { port: asked, notices: [] }
  }
  const from = usual === notThis ? usual + 1 : usual
  let port = await nextFreePort(HOST, from, PORT_TRIES)
  if (port === notThis && port !== undefined) port = await nextFreePort(HOST, port + 1, PORT_TRIES)
  if (port === undefined) throw new PortTakenError(usual, what, flag)
  return { port, notices: port === usual ? [] : [`port ${usual} is taken, so ${what} is on ${port} (${flag} chooses)`] }
}
