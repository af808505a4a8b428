import type { DeliveryPolicy } from './delivery-policy.ts'
import type { Filter } from './filter.ts'
import type { BrokerId, TriggerId, WorkloadId } from './ids.ts'

/**
 * Everything a broker process needs to know, made by the controller from YAML and status, as one plain JSON document.
 * A broker keeps the last one it saw and works on without a controller. A new document replaces the old one whole.
 */
export interface Routes {
  readonly brokers: readonly BrokerRoute[]
  /** The replicas that subscribers of kind `workload` run on now. A workload that is absent or empty is at zero. */
  readonly endpoints: Readonly<Record<WorkloadId, readonly Endpoint[]>>
}

export interface BrokerRoute {
  readonly id: BrokerId
  /** Identity across deletion: a Broker made again under the same name does not inherit the old one's queue. */
  readonly uid: string
  /** `memory` is the transient choice, `weir.dev/store: memory`. */
  readonly store: 'durable' | 'memory'
  /** Events of one source and id within this time are one event, for every Trigger; undefined: two equal posts are two. */
  readonly dedupMs: number | undefined
  /** Who may send. Undefined: anybody. */
  readonly access: Access | undefined
  /** What its namespace may use, all Brokers of the namespace together. Undefined: as much as there is. */
  readonly quota: Quota | undefined
  readonly triggers: readonly TriggerRoute[]
}

export interface TriggerRoute {
  readonly id: TriggerId
  readonly uid: string
  /** All must pass. Empty: every event passes. */
  readonly filters: readonly Filter[]
  readonly subscriber: Target
  /** Where an event goes when its attempts are over; without one it is parked. */
  readonly deadLetter: Target | undefined
  readonly delivery: DeliveryPolicy
  /** Requests open at once: per replica of a workload, in all for an address. */
  readonly concurrency: number
  /** `strict`: a 2xx whose body is no CloudEvent is a failed attempt, as in Knative's own broker. */
  readonly reply: 'lenient' | 'strict'
  /** Events whose attribute of this name is equal go one at a time, in order. Undefined: no order is kept. */
  readonly order: string | undefined
  /** Several events in one request. Undefined: one each. */
  readonly batch: BatchPolicy | undefined
  readonly limits: Limits
  /** Nothing is attempted; events wait. */
  readonly paused: boolean
  /** Events of one source and id within this time are one event for this Trigger. */
  readonly dedupMs: number | undefined
  /** Whether the attribute `deliverafter` holds an event back until then. */
  readonly deliverAfter: 'ignore' | 'honour'
  /** What becomes of an event whose `expirytime` is over before it was delivered. */
  readonly expiry: 'ignore' | 'discard' | 'dead-letter'
  /** From where on a new Trigger sees events that are still kept: from now on, all, or those accepted since (wall ms). */
  readonly start: 'now' | 'earliest' | number
}

/** When a batch is full, whichever comes first. */
export interface BatchPolicy {
  readonly maxEvents: number
  /** How long its first event waits for more. */
  readonly maxWaitMs: number
  /** Of the request's body. One event that is larger goes alone. */
  readonly maxBytes: number
}

/** What a subscriber is spared. Unset: no such limit. */
export interface Limits {
  /** Requests open at once, all replicas together. */
  readonly total: number | undefined
  /** Requests begun per second. */
  readonly perSecond: number | undefined
  /** Fewer at once after 429 and 503, more again after successes. */
  readonly adaptive: boolean
  readonly circuit: CircuitPolicy | undefined
}

/** After `failures` failed attempts in a row nothing is attempted for `waitMs`; then one event tries whether it works again. */
export interface CircuitPolicy {
  readonly failures: number
  readonly waitMs: number
}

/** Who may send to a Broker (Knative's OIDC and EventPolicy). */
export interface Access {
  /** Whom a token must be made for: `eventing.knative.dev/broker/<namespace>/<name>`. */
  readonly audience: string
  /** The first whose subjects name the sender decides, by its filters. */
  readonly policies: readonly AccessPolicy[]
  /** Where there is no policy. */
  readonly otherwise: 'allow-all' | 'deny-all' | 'allow-same-namespace'
}

export interface AccessPolicy {
  /** `EventPolicy/namespace/name`, for people. */
  readonly name: string
  /** Compared without case; a `*` at the end stands for anything. */
  readonly subjects: readonly string[]
  readonly filters: readonly Filter[]
}

/** Above any of these the door answers 429 with Retry-After. Undefined: no such limit. */
export interface Quota {
  readonly eventsPerSecond: number | undefined
  readonly bytesPerSecond: number | undefined
  /** Events owed: waiting, retrying or in flight, summed over the namespace's Triggers. */
  readonly backlog: number | undefined
}

/** How a request to a sink is secured. */
export interface Trust {
  /** PEM, trusted beside the system's authorities. */
  readonly caCerts?: string
  /** A bearer token for this audience is sent. */
  readonly audience?: string
  /** Whom the token speaks for: `system:serviceaccount:<namespace>:<name>`, the Trigger's identity. */
  readonly subject?: string
}

/**
 * Where requests go. `address` is the resolved URL as status and dead letters name it; `http://` and `https://` can be
 * called, anything else (`bad://uri` is legal in Knative) fails as a failed attempt.
 */
export type Target =
  | { readonly kind: 'url'; readonly address: string; readonly trust?: Trust }
  /** Replicas that we see, each with an origin of its own: the broker picks one, and holds events while there is none. */
  | {
      readonly kind: 'workload'
      readonly address: string
      readonly workload: WorkloadId
      readonly path: string
      readonly trust?: Trust
    }

export interface Endpoint {
  /** Stable for the life of the replica: a pod's name, `worker-3` on a laptop. */
  readonly id: string
  /** `http://127.0.0.1:41234`, without a path. */
  readonly origin: string
  /** `draining`: finish what is in flight, start nothing new. */
  readonly state: 'ready' | 'draining'
}

export const NO_ROUTES: Routes = { brokers: [], endpoints: {} }

/** What a Trigger gets that asks for nothing beyond Knative's contract. */
export const PLAIN_TRIGGER = {
  order: undefined,
  batch: undefined,
  limits: { total: undefined, perSecond: undefined, adaptive: false, circuit: undefined },
  paused: false,
  dedupMs: undefined,
  deliverAfter: 'ignore',
  expiry: 'ignore',
  start: 'now',
} as const satisfies Partial<TriggerRoute>

/** What a Broker gets that asks for nothing. */
export const PLAIN_BROKER = {
  dedupMs: undefined,
  access: undefined,
  quota: undefined,
} as const satisfies Partial<BrokerRoute>
