import type { Admin, ITopicConfig } from 'kafkajs'
import { type Clock, sleep } from '../../runtime/clock.ts'
import { errorTypeOf } from './outcome.ts'

/** How long a new topic may take to be known everywhere, and how often that is looked at. */
const KNOWN_TRIES = 100
const KNOWN_LOOK_MS = 100
/** What a broker answers about a topic that it has not heard of yet (Kafka protocol: error codes 3, 5). */
const NOT_YET = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE']

/**
 * Makes a topic, or finds it made already, and waits until records can be put there. The library's own `waitForLeaders` fails
 * where the controller has answered and the broker has not heard of it yet.
 * @throws what the library throws; the signal's reason.
 */
export async function makeTopic(admin: Admin, topic: ITopicConfig, clock: Clock, signal: AbortSignal): Promise<void> {
  await admin.createTopics({ topics: [topic], waitForLeaders: false })
  for (let tries = 1; ; tries++) {
    const error = await notReady(admin, topic.topic)
    if (error === undefined) return
    if (tries === KNOWN_TRIES) throw error
    await sleep(clock, KNOWN_LOOK_MS, signal)
  }
}

/** Why nothing can be put there yet. */
async function notReady(admin: Admin, topic: string): Promise<Error | undefined> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const led = topics[0]?.partitions.every(({ leader }) => leader >= 0) === true
    return led ? undefined : new Error(`the topic ${JSON.stringify(topic)} has partitions without a leader`)
  } catch (error) {
    if (error instanceof Error && NOT_YET.includes(errorTypeOf(error))) return error
    throw error
  }
}
