import { readLocalCommand } from './annotations.ts'
import { readContainer } from './container.ts'
import { checkFeatures, isFeatures } from './features.ts'
import { readAnnotations, readLabels, readMetadata, TOP, topOf } from './metadata.ts'
import { type Fields, present, type Shape, type Value } from './reader.ts'
import type { Metadata, ResourceOf } from './resource.ts'

/** Kubernetes' own kinds, in the parts that a laptop acts on. */
export interface DeploymentResource extends ResourceOf<'Deployment', 'apps/v1'> {
  readonly spec: {
    /** 1 where unset. Ignored once an autoscaler owns the number. */
    readonly replicas: number
    readonly podLabels: Readonly<Record<string, string>>
    readonly terminationGracePeriodSeconds: number
    readonly container: Container
  }
}

export interface Container {
  readonly name: string
  readonly image?: string
  /** Its own, or that of the annotation `weir.dev/local-command`, which then has no `args`. */
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly env: readonly EnvVar[]
  readonly readinessPath?: string
}

export type EnvVar =
  | { readonly name: string; readonly value: string }
  | {
      readonly name: string
      readonly from: 'secret' | 'config-map'
      readonly object: string
      readonly key: string
      readonly optional: boolean
    }

export interface ServiceResource extends ResourceOf<'Service', 'v1'> {
  readonly spec: {
    readonly selector: Readonly<Record<string, string>>
    readonly ports: readonly { readonly port: number; readonly name?: string }[]
  }
}

/** `data` decoded from base64, `stringData` on top. */
export interface SecretResource extends ResourceOf<'Secret', 'v1'> {
  readonly data: Readonly<Record<string, string>>
}

export interface ConfigMapResource extends ResourceOf<'ConfigMap', 'v1'> {
  readonly data: Readonly<Record<string, string>>
}

const DEPLOYMENT: Shape<'replicas' | 'selector' | 'template'> = {
  known: ['replicas', 'selector', 'template'],
  silent: ['minReadySeconds', 'paused', 'progressDeadlineSeconds', 'revisionHistoryLimit', 'strategy'],
  lenient: true,
}

const POD: Shape<'containers' | 'terminationGracePeriodSeconds'> = {
  known: ['containers', 'terminationGracePeriodSeconds'],
  idle: ['initContainers'],
  silent: [
    'activeDeadlineSeconds',
    'affinity',
    'automountServiceAccountToken',
    'dnsConfig',
    'dnsPolicy',
    'enableServiceLinks',
    'ephemeralContainers',
    'hostAliases',
    'hostIPC',
    'hostNetwork',
    'hostPID',
    'hostUsers',
    'hostname',
    'imagePullSecrets',
    'nodeName',
    'nodeSelector',
    'os',
    'overhead',
    'preemptionPolicy',
    'priority',
    'priorityClassName',
    'readinessGates',
    'resourceClaims',
    'resources',
    'restartPolicy',
    'runtimeClassName',
    'schedulerName',
    'schedulingGates',
    'securityContext',
    'serviceAccount',
    'serviceAccountName',
    'setHostnameAsFQDN',
    'shareProcessNamespace',
    'subdomain',
    'tolerations',
    'topologySpreadConstraints',
    'volumes',
  ],
  lenient: true,
}

/** Reads a Deployment in the parts that Weir acts on. */
export function parseDeployment(value: Value): DeploymentResource {
  const top = value.fields(topOf(DEPLOYMENT))
  const metadata = readMetadata(top, 'Deployment')
  const spec = top.requiredSection('spec', DEPLOYMENT)
  const template = readPodTemplate(spec, 'Deployment', metadata.annotations)
  checkSelector(spec.get('selector'), template.podLabels)
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    where: value.where,
    spec: { replicas: spec.get('replicas')?.integer(0) ?? 1, ...template },
  }
}

/** Reads `template`, a pod's, of an object of `kind`, whose annotations win over the pod's. */
export function readPodTemplate(
  spec: Fields<'template'>,
  kind: string,
  annotations: Metadata['annotations'],
): Omit<DeploymentResource['spec'], 'replicas'> {
  const template = spec.requiredSection('template', { known: ['metadata', 'spec'] })
  const pod = template.requiredSection('spec', POD)
  const podMetadata = template.section('metadata', {
    known: ['labels', 'annotations'],
    silent: ['name', 'namespace', 'creationTimestamp', 'finalizers', 'generateName'],
    lenient: true,
  })
  const ofPod = readAnnotations(podMetadata.get('annotations'), kind)
  return {
    podLabels: readLabels(podMetadata.get('labels')),
    terminationGracePeriodSeconds: pod.get('terminationGracePeriodSeconds')?.integer(0) ?? 30,
    container: readFirstContainer(pod.required('containers'), { ...ofPod, ...annotations }),
  }
}

/** An API server refuses a Deployment whose selector does not fit its own pods. */
function checkSelector(value: Value | undefined, podLabels: Readonly<Record<string, string>>): void {
  const selector = value?.fields({ known: ['matchLabels'], silent: ['matchExpressions'] }).get('matchLabels')
  for (const [name, text] of Object.entries(readLabels(selector)))
    if (podLabels[name] !== text)
      selector?.mistake(
        `\`spec.selector.matchLabels\` wants ${name}=${text}, which the labels of \`spec.template\` do not have`,
      )
}

const NO_CONTAINER: Container = { name: '', command: [], args: [], env: [] }

function readFirstContainer(value: Value | undefined, annotations: Metadata['annotations']): Container {
  const [first, ...others] = value?.list() ?? []
  if (first === undefined) {
    if (value !== undefined && !value.isMap()) value.mistake(`\`${value.path}\` must hold at least one container`)
    return NO_CONTAINER
  }
  for (const other of others) {
    readContainer(other)
    other.notice(`\`${other.path}\` does nothing here: only the first container of a Deployment is run`)
  }
  const container = readContainer(first)
  const command = readLocalCommand({ annotations })
  return command === undefined ? container : { ...container, command, args: [] }
}

const SERVICE: Shape<'selector' | 'ports' | 'type'> = {
  known: ['selector', 'ports', 'type'],
  silent: [
    'allocateLoadBalancerNodePorts',
    'clusterIP',
    'clusterIPs',
    'externalIPs',
    'externalName',
    'externalTrafficPolicy',
    'healthCheckNodePort',
    'internalTrafficPolicy',
    'ipFamilies',
    'ipFamilyPolicy',
    'loadBalancerClass',
    'loadBalancerIP',
    'loadBalancerSourceRanges',
    'publishNotReadyAddresses',
    'sessionAffinity',
    'sessionAffinityConfig',
    'trafficDistribution',
  ],
  lenient: true,
}

const PORT: Shape<'port' | 'name'> = {
  known: ['port', 'name'],
  silent: ['appProtocol', 'nodePort', 'protocol', 'targetPort'],
  lenient: true,
}

/** Reads a Service in the parts that Weir acts on. */
export function parseService(value: Value): ServiceResource {
  const top = value.fields(topOf(SERVICE))
  const metadata = readMetadata(top, 'Service')
  const spec = top.section('spec', SERVICE)
  const type = spec.get('type')
  if (type?.oneOf(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']) === 'ExternalName')
    type.notice('a Service of type ExternalName leads nowhere here: give the Trigger its address as `uri`')
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    where: value.where,
    spec: {
      selector: readLabels(spec.get('selector')),
      ports: spec.items('ports').map(item => {
        const port = item.fields(PORT)
        return { port: port.required('port')?.integer(1, 65_535) ?? 0, ...present({ name: port.get('name')?.text() }) }
      }),
    },
  }
}

/** Reads a Secret; its values are texts, so that binary ones lose what is not UTF-8. */
export function parseSecret(value: Value): SecretResource {
  const top = value.fields({ known: [...TOP, 'data', 'stringData'], silent: ['type', 'immutable'] })
  const metadata = readMetadata(top, 'Secret')
  const encoded = top.get('data')
  const data = Object.entries(encoded?.secretMap(base64Mistake) ?? {}).map(
    ([name, text]) => [name, Buffer.from(text, 'base64').toString()] as const,
  )
  const plain = Object.entries(top.get('stringData')?.secretMap() ?? {})
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata,
    where: value.where,
    data: Object.fromEntries([...data, ...plain]),
  }
}

function base64Mistake(name: string, text: string): string | undefined {
  const digits = text.replaceAll(/[\r\n]/g, '')
  if (digits.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(digits)) return undefined
  return `\`data.${name}\` is not base64: encode it, or put the plain text under \`stringData\``
}

/** Reads a ConfigMap. */
export function parseConfigMap(value: Value): ConfigMapResource {
  const top = value.fields({ known: [...TOP, 'data'], idle: ['binaryData'], silent: ['immutable'] })
  const metadata = readMetadata(top, 'ConfigMap')
  const data = top.get('data')
  if (isFeatures({ metadata })) checkFeatures(data)
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, where: value.where, data: data?.textMap() ?? {} }
}
