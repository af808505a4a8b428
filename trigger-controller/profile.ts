/** What differs between a cluster and a laptop, and the figures of the autoscaler: each written here and nowhere else. */
export interface Profile {
  /** Brokers of every class are served, and a foreign one is pointed out. */
  readonly servesEveryClass: boolean
  readonly scaling: ScalingProfile
}

export interface ScalingProfile {
  /** Time in which a backlog should be gone. */
  readonly drainGoalMs: number
  /** Share of a replica's capacity that the core rule plans with. */
  readonly utilisation: number
  /** Events waiting per replica, where nobody declared a target and the service time is not known yet. */
  readonly defaultTarget: number
  /** Deliveries after which the service time counts as known. */
  readonly knownAfter: number
  readonly stableMs: number
  readonly panicMs: number
  /** A number of replicas goes down to the highest that was wanted within this window; panic lasts as long. */
  readonly scaleInMs: number
  /** Idle before zero, where no cooldown is declared. */
  readonly cooldownMs: number
  /** A retry due within this keeps one replica awake. */
  readonly retrySoonMs: number
  /** Most replicas where no maximum is declared: by annotations, by a ScaledObject. */
  readonly annotationMax: number
  readonly scaledObjectMax: number
  /** Period of readings from other systems where the YAML declares none (KEDA: 30 s). */
  readonly defaultPollMs: number
}

export const CLUSTER: Profile = {
  servesEveryClass: false,
  scaling: {
    drainGoalMs: 10_000,
    utilisation: 0.7,
    defaultTarget: 10,
    knownAfter: 20,
    stableMs: 60_000,
    panicMs: 6_000,
    scaleInMs: 60_000,
    cooldownMs: 30_000,
    retrySoonMs: 15_000,
    annotationMax: 50,
    scaledObjectMax: 100,
    defaultPollMs: 30_000,
  },
}

/** A laptop is in a hurry, and has only so many cores. */
export function laptop(cores: number): Profile {
  const most = Math.max(1, 2 * cores)
  return {
    servesEveryClass: true,
    scaling: {
      ...CLUSTER.scaling,
      scaleInMs: 10_000,
      cooldownMs: 10_000,
      retrySoonMs: 5_000,
      annotationMax: most,
      scaledObjectMax: most,
      defaultPollMs: 1_000,
    },
  }
}

/** Requests open at once: per replica of a workload, in all for an address that may stand for any number of them. */
export const CONCURRENCY_PER_REPLICA = 10
export const CONCURRENCY_PER_ADDRESS = 100

/** A batch where the annotations ask for one and do not say more. */
export const BATCH = { maxEvents: 100, maxWaitMs: 1000, maxBytes: 1 << 20 } as const
/** The circuit where one of its two annotations is there. */
export const CIRCUIT = { failures: 10, waitMs: 30_000 } as const
