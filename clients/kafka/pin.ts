import type { Broker, Cluster } from 'kafkajs'
import { errorTypeOf } from './outcome.ts'

/** Members in a group have pinned it already (Kafka protocol: error code 25). */
const HAS_MEMBERS = 'UNKNOWN_MEMBER_ID'
/** Stands in a commit for somebody who is no member: it is taken while the group has none. */
const NO_GENERATION = -1

/**
 * Commits the end of every partition of those topics in which the group has read nothing yet, so that it begins there
 * whatever comes before it joins. Where it has read one partition, the others are new and read from their beginning.
 * @throws what the library throws.
 */
export async function pinEnds(
  cluster: Cluster,
  coordinator: Broker,
  groupId: string,
  topics: readonly string[],
): Promise<void> {
  // Ends before commits: where another replica pins at the same time, none of the two ends is after anything that came once one of them was ready.
  const ends = await cluster.fetchTopicsOffset(
    topics.map(topic => ({ topic, fromBeginning: false, partitions: partitionsIn(cluster, topic) })),
  )
  const fresh = await freshTopics(coordinator, cluster, groupId, topics)
  const pins = ends.filter(({ topic }) => fresh.has(topic))
  if (pins.length === 0) return
  try {
    await coordinator.offsetCommit({ groupId, groupGenerationId: NO_GENERATION, memberId: '', topics: pins })
  } catch (error) {
    if (errorTypeOf(error) !== HAS_MEMBERS) throw error
    // They have joined since, and pinned before that.
    if ((await freshTopics(coordinator, cluster, groupId, topics)).size > 0) throw error
  }
}

/** Those in which no partition has been committed; the earliest offset (-2) is a commit too. */
async function freshTopics(
  coordinator: Broker,
  cluster: Cluster,
  groupId: string,
  topics: readonly string[],
): Promise<Set<string>> {
  const asked = topics.map(topic => ({ topic, partitions: partitionsIn(cluster, topic) }))
  // The library's type asks for the offsets that are to be fetched.
  const { responses } = await coordinator.offsetFetch({
    groupId,
    topics: asked as Parameters<Broker['offsetFetch']>[0]['topics'],
  })
  const committed = responses.filter(({ partitions }) => partitions.some(({ offset }) => offset !== '-1'))
  const known = new Set(committed.map(({ topic }) => topic))
  return new Set(topics.filter(topic => !known.has(topic)))
}

function partitionsIn(cluster: Cluster, topic: string): { partition: number }[] {
  return cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ partition: partitionId }))
}
