import { type KafkaAccess, KafkaAccessError, kafkaAccessOf } from '../../../clients/kafka/access.ts'
import type { LagCap, LagRules } from '../../../clients/kafka/lag.ts'
import type { ScaleTrigger } from '../../../crds/scaled-object.ts'
import type { Demand } from '../target.ts'
import { pollMs, settingOf } from './parameters.ts'
import { metadataNumber, type ScalerContext } from './scaler.ts'

/** KEDA's kafka scaler: `lagThreshold` where it is not given. */
const LAG = 10

/**
 * `type: kafka`: metadata `bootstrapServers`, `consumerGroup`, `topic`, `lagThreshold`, `activationLagThreshold`,
 * `offsetResetPolicy`, `allowIdleConsumers`, `limitToPartitionsWithLag`, `excludePersistentLag`,
 * `scaleToZeroOnInvalidOffset`, `ensureEvenDistributionOfPartitions`, `partitionLimitation`; `sasl`, `tls` and what they need
 * also out of a TriggerAuthentication.
 */
export function kafkaDemand(trigger: ScaleTrigger, name: string, index: number, context: ScalerContext): Demand {
  const broken = (reason: string): Demand => ({ kind: 'broken', name, reason })
  const { topic = '' } = trigger.metadata
  const threshold = metadataNumber(trigger, 'lagThreshold', 1)
  const activation = metadataNumber(trigger, 'activationLagThreshold', 0)
  if ('reason' in threshold) return broken(threshold.reason)
  if ('reason' in activation) return broken(activation.reason)
  const target = threshold.value ?? LAG
  const place = placeOf(trigger, context)
  if ('reason' in place) return broken(place.reason)
  const rules = rulesOf(trigger.metadata, target)
  if ('reason' in rules) return broken(rules.reason)

  const { namespace, name: object } = context.object.metadata
  const above = activation.value ?? 0
  return {
    kind: 'queue',
    name,
    key: `scaledobject/${namespace}/${object}#${index}`,
    backlog: { system: 'kafka', ...place, topics: topic === '' ? [] : [topic], ...rules, activation: above },
    pollMs: pollMs(context),
    wants: { target, activation: above, concurrency: 1 },
  }
}

interface Place {
  readonly access: KafkaAccess
  readonly group: string
}

const SETTINGS = [
  'bootstrapServers',
  'consumerGroup',
  'sasl',
  'tls',
  'username',
  'password',
  'ca',
  'cert',
  'key',
  'keyPassword',
] as const
const MECHANISMS: Readonly<Record<string, string>> = {
  plaintext: 'PLAIN',
  scram_sha256: 'SCRAM-SHA-256',
  scram_sha512: 'SCRAM-SHA-512',
}

function placeOf(trigger: ScaleTrigger, context: ScalerContext): Place | { readonly reason: string } {
  const settings: Partial<Record<(typeof SETTINGS)[number], string>> = {}
  for (const name of SETTINGS) {
    const found = settingOf(trigger, name, context)
    if (found !== undefined && 'reason' in found) return found
    if (found !== undefined) settings[name] = found.value
  }
  const { bootstrapServers = '', consumerGroup = '', sasl = 'none', tls = 'disable', username, password } = settings
  const brokers = bootstrapServers.split(',').flatMap(one => one.trim() || [])
  if (consumerGroup === '') return { reason: 'metadata.consumerGroup is not set' }
  const mechanism = Object.hasOwn(MECHANISMS, sasl) ? MECHANISMS[sasl] : undefined
  if (mechanism === undefined && sasl !== 'none')
    return { reason: 'sasl must be none, plaintext, scram_sha256 or scram_sha512: others are not supported here' }
  if (trigger.metadata.unsafeSsl === 'true')
    return { reason: 'unsafeSsl is not supported here: give the authority by the parameter ca' }
  const { ca, cert, key, keyPassword } = settings
  const credentials = { user: username, password, mechanism, ca, cert, key }
  const given = Object.entries(credentials).filter((entry): entry is [string, string] => entry[1] !== undefined)
  try {
    const access = kafkaAccessOf(
      brokers,
      { tls: tls === 'enable', sasl: mechanism !== undefined },
      Object.fromEntries(given),
    )
    const withPassphrase = access.tls && keyPassword ? { ...access.tls, passphrase: keyPassword } : access.tls
    return { access: { ...access, tls: withPassphrase }, group: consumerGroup }
  } catch (error) {
    if (error instanceof KafkaAccessError) return { reason: error.message }
    throw error
  }
}

function rulesOf(
  metadata: Readonly<Record<string, string>>,
  perReplica: number,
): LagRules | { readonly reason: string } {
  const isOn = (name: string) => metadata[name] === 'true'
  const { offsetResetPolicy = 'latest', partitionLimitation = '', topic } = metadata
  if (isOn('limitToPartitionsWithLag')) {
    if (isOn('allowIdleConsumers'))
      return { reason: 'limitToPartitionsWithLag and allowIdleConsumers exclude each other' }
    if (!topic) return { reason: 'limitToPartitionsWithLag needs a topic' }
    if (isOn('ensureEvenDistributionOfPartitions'))
      return { reason: 'limitToPartitionsWithLag and ensureEvenDistributionOfPartitions exclude each other' }
  }
  const only = partitionsIn(partitionLimitation)
  if (only === 'unreadable') return { reason: 'partitionLimitation must be like 1,2,10-20' }
  const seen = offsetResetPolicy === 'earliest' ? 'all' : 'one'
  return {
    only,
    unread: isOn('scaleToZeroOnInvalidOffset') ? 'none' : seen,
    cap: capOf(isOn, perReplica),
    excludeStuck: isOn('excludePersistentLag'),
  }
}

function capOf(isOn: (name: string) => boolean, perReplica: number): LagCap | undefined {
  if (isOn('allowIdleConsumers')) return undefined
  if (isOn('limitToPartitionsWithLag')) return { perReplica, replicas: 'partitions-with-lag' }
  return { perReplica, replicas: isOn('ensureEvenDistributionOfPartitions') ? 'divisors' : 'partitions' }
}

/** No topic has more. */
const MOST_PARTITIONS = 200_000

/** `1,2,10-20`. @returns undefined for all. */
function partitionsIn(text: string): readonly number[] | undefined | 'unreadable' {
  if (text.trim() === '') return undefined
  const all: number[] = []
  for (const piece of text.split(',')) {
    const found = /^\s*(?<first>\d{1,6})(?:\s*-\s*(?<last>\d{1,6}))?\s*$/.exec(piece)?.groups
    if (found === undefined) return 'unreadable'
    const first = Number(found.first)
    const last = Number(found.last ?? found.first)
    if (last < first || all.length + last - first > MOST_PARTITIONS) return 'unreadable'
    for (let partition = first; partition <= last; partition++) all.push(partition)
  }
  return all
}
