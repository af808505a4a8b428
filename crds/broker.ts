import { type DeliverySpec, readDelivery } from './delivery.ts'
import { readReference } from './destination.ts'
import { readMetadata, topOf } from './metadata.ts'
import { present, type Shape, type Value } from './reader.ts'
import type { Reference, ResourceOf } from './resource.ts'

/** Broker, eventing.knative.dev/v1. */
export interface BrokerResource extends ResourceOf<'Broker', 'eventing.knative.dev/v1'> {
  readonly spec: {
    /** Accepted and ignored: it configures other implementations. */
    readonly config?: Reference
    readonly delivery?: DeliverySpec
  }
}

/** Which implementation serves a Broker. Ours is `Weir`; a laptop serves every class. */
export const BROKER_CLASS_ANNOTATION = 'eventing.knative.dev/broker.class'

const SPEC: Shape<'config' | 'delivery'> = {
  known: ['config', 'delivery'],
  hints: { deadLetterSink: 'indent it under `delivery`', retry: 'indent it under `delivery`' },
}

/** Reads a Broker; what is wrong with it is told to the sheet of `value`. */
export function parseBroker(value: Value): BrokerResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'Broker')
  const spec = top.section('spec', SPEC)
  const config = spec.get('config')
  config?.notice('`spec.config` is ignored: it configures other implementations')
  const delivery = spec.get('delivery')
  return {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata,
    where: value.where,
    spec: present({
      config: config && readReference(config, metadata.namespace),
      delivery: delivery && readDelivery(delivery, metadata.namespace),
    }),
  }
}
