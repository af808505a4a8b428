import { type RabbitAccess, RabbitAccessError, rabbitAccessOf } from '../../../clients/rabbitmq/access.ts'
import type { RabbitBacklog } from '../../../clients/rabbitmq/backlog.ts'
import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import type { Demand } from '../target.ts'
import { pollMs, settingOf } from './parameters.ts'
import { metadataNumber, type ScalerContext } from './scaler.ts'

/** KEDA's rabbitmq scaler: `value` where it is not given. */
const QUEUE_LENGTH = 20

/**
 * `type: rabbitmq`: metadata `queueName`, `host`, `protocol`, `vhostName`, `mode` QueueLength or MessageRate, `value`,
 * `activationValue`, `queueLength` of older versions, `excludeUnacknowledged`; `host`, `username` and `password` also out of
 * a TriggerAuthentication. Over AMQP what consumers hold is not seen, as in KEDA.
 */
export function rabbitmqDemand(trigger: ScaleTrigger, name: string, index: number, context: ScalerContext): Demand {
  const broken = (reason: string): Demand => ({ kind: 'broken', name, reason })
  const { mode = 'QueueLength', queueName = '' } = trigger.metadata
  if (queueName === '') return broken('metadata.queueName is not set')
  const unsupported = unsupportedIn(trigger.metadata)
  if (unsupported !== undefined) return broken(unsupported)
  const value = metadataNumber(trigger, trigger.metadata.value === undefined ? 'queueLength' : 'value', 1)
  const activation = metadataNumber(trigger, 'activationValue', 0)
  if ('reason' in value) return broken(value.reason)
  if ('reason' in activation) return broken(activation.reason)
  const rated = mode === 'MessageRate'
  if (rated && value.value === undefined) return broken('mode MessageRate needs a value')
  const place = placeOf(trigger, context)
  if ('reason' in place) return broken(place.reason)
  if (rated && place.protocol === 'amqp')
    return broken('mode MessageRate needs the management API: give a host that begins with http:// or https://')

  const ready = trigger.metadata.excludeUnacknowledged === 'true'
  const { namespace, name: object } = context.object.metadata
  return {
    kind: 'queue',
    name,
    key: `scaledobject/${namespace}/${object}#${index}`,
    backlog: { system: 'rabbitmq', ...place, queue: queueName, what: rated ? 'rate' : ready ? 'ready' : 'all' },
    pollMs: pollMs(context),
    wants: { target: value.value ?? QUEUE_LENGTH, activation: activation.value ?? 0, concurrency: 1 },
  }
}

const MODES = ['QueueLength', 'MessageRate']

function unsupportedIn({ mode, useRegex, unsafeSsl }: Readonly<Record<string, string>>): string | undefined {
  if (mode !== undefined && !MODES.includes(mode))
    return `mode ${mode} is not supported here: QueueLength or MessageRate`
  if (useRegex === 'true') return 'useRegex is not supported here: name one queue, and write a trigger for each'
  if (unsafeSsl === 'true')
    return 'unsafeSsl is not supported here: give the authority by the parameter ca of a TriggerAuthentication'
  return undefined
}

/** What KEDA calls it, and the client where that is another name. */
const SETTINGS: readonly (readonly [name: string, key?: string])[] = [
  ['host'],
  ['username'],
  ['password'],
  ['ca', 'ca.crt'],
]

type Place = Pick<RabbitBacklog, 'access' | 'protocol'>

function placeOf(trigger: ScaleTrigger, context: ScalerContext): Place | { readonly reason: string } {
  const settings: Record<string, string> = {}
  for (const [name, key = name] of SETTINGS) {
    const found = settingOf(trigger, name, context)
    if (found !== undefined && 'reason' in found) return found
    if (found !== undefined) settings[key] = found.value
  }
  const { host, ...user } = settings
  if (host === undefined) return { reason: 'no host: set hostFromEnv, or authenticationRef with the parameter host' }
  const protocol = /^https?:/i.test(host) ? 'http' : 'amqp'
  const { protocol: asked = 'auto', vhostName } = trigger.metadata
  if (asked !== 'auto' && asked !== protocol)
    return { reason: `protocol is ${asked}, and the host is an address of ${protocol}` }
  try {
    return { protocol, access: accessOf(host, user, vhostName || undefined) }
  } catch (error) {
    if (error instanceof RabbitAccessError)
      return { reason: error.message.replace('`uri`', '`host`').replace('`ca.crt`', '`ca`') }
    throw error
  }
}

/** In KEDA the path of the management API's address is the virtual host. */
function accessOf(host: string, user: Readonly<Record<string, string>>, vhost: string | undefined): RabbitAccess {
  const url = URL.parse(host)
  if (url === null || !url.protocol.startsWith('http')) return rabbitAccessOf({ uri: host, ...user }, vhost)
  const inPath = url.pathname.replace(/^\/|\/$/g, '')
  url.pathname = ''
  return rabbitAccessOf({ uri: url.href, ...user }, vhost ?? (inPath === '' ? '/' : safeDecoded(inPath)))
}

function safeDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new RabbitAccessError('`host` has a `%` in it that must be written as %25')
  }
}
