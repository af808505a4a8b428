import { readDestination } from './destination.ts'
import { readMetadata, topOf } from './metadata.ts'
import type { Shape, Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import type { BindingFields } from './sink-binding.ts'
import { readExtensions } from './source-fields.ts'
import { type DeploymentResource, readPodTemplate } from './workloads.ts'

/** ContainerSource, sources.knative.dev/v1: one container that makes events and is told where to send them. */
export interface ContainerSourceResource extends ResourceOf<'ContainerSource', 'sources.knative.dev/v1'> {
  readonly spec: BindingFields & { readonly template: Omit<DeploymentResource['spec'], 'replicas'> }
}

const SPEC: Shape<'template' | 'sink' | 'ceOverrides'> = {
  known: ['template', 'sink', 'ceOverrides'],
  hints: {
    delivery: 'the container itself sends, so that retries are its own: send to a Broker, and its Triggers have them',
    image: 'it stands in `template: {spec: {containers: [{image: …}]}}`',
    containers: 'it stands in `template: {spec: {containers: …}}`',
    extensions: 'indent it under `ceOverrides`',
    replicas: 'a ContainerSource has one: a Deployment with a SinkBinding can have more',
  },
}

/** Reads a ContainerSource; what is wrong with it is told to the sheet of `value`. */
export function parseContainerSource(value: Value): ContainerSourceResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'ContainerSource')
  const spec = top.requiredSection('spec', SPEC)
  const sink = spec.required('sink')
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: 'ContainerSource',
    metadata,
    where: value.where,
    spec: {
      template: readPodTemplate(spec, 'ContainerSource', metadata.annotations),
      sink: sink ? readDestination(sink, metadata.namespace) : {},
      extensions: readExtensions(spec),
    },
  }
}

/** What runs it, by the name that Knative gives it. */
export function containerDeployment({ metadata, where, spec }: ContainerSourceResource): DeploymentResource {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...metadata, name: `${metadata.name}-deployment` },
    where,
    spec: { replicas: 1, ...spec.template },
  }
}
