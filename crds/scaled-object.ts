import { readMetadata, topOf } from './metadata.ts'
import { type Fields, present, type Shape, type Value } from './reader.ts'
import type { ResourceOf } from './resource.ts'
import { readScalerMetadata, readScalerType, SCALERS } from './scaler-metadata.ts'

/** ScaledObject, keda.sh/v1alpha1: the fields Weir acts on; the rest is accepted and pointed out. */
export interface ScaledObjectResource extends ResourceOf<'ScaledObject', 'keda.sh/v1alpha1'> {
  readonly spec: {
    readonly scaleTargetRef: { readonly apiVersion: string; readonly kind: string; readonly name: string }
    /** Seconds, 30. */
    readonly pollingInterval: number
    /** Seconds; 300 in KEDA, absent where the YAML does not say. */
    readonly cooldownPeriod?: number
    readonly minReplicaCount: number
    readonly maxReplicaCount?: number
    readonly triggers: readonly ScaleTrigger[]
  }
}

export interface ScaleTrigger {
  /** `weir` (a Trigger's backlog) or a scaler's name, e.g. `azure-queue`. */
  readonly type: string
  readonly name?: string
  readonly metadata: Readonly<Record<string, string>>
  readonly authenticationRef?: { readonly name: string; readonly kind: string }
}

/** TriggerAuthentication, keda.sh/v1alpha1: parameters of a scaler out of Secrets and the target's environment. */
export interface TriggerAuthenticationResource extends ResourceOf<'TriggerAuthentication', 'keda.sh/v1alpha1'> {
  readonly spec: {
    readonly secretTargetRef: readonly { readonly parameter: string; readonly name: string; readonly key: string }[]
    readonly env: readonly { readonly parameter: string; readonly name: string }[]
  }
}

const SPEC: Shape<
  | 'scaleTargetRef'
  | 'pollingInterval'
  | 'cooldownPeriod'
  | 'minReplicaCount'
  | 'maxReplicaCount'
  | 'idleReplicaCount'
  | 'triggers'
> = {
  known: [
    'scaleTargetRef',
    'pollingInterval',
    'cooldownPeriod',
    'minReplicaCount',
    'maxReplicaCount',
    'idleReplicaCount',
    'triggers',
  ],
  idle: ['initialCooldownPeriod', 'fallback', 'advanced'],
}

const TARGET: Shape<'apiVersion' | 'kind' | 'name'> = {
  known: ['apiVersion', 'kind', 'name'],
  idle: ['envSourceContainerName'],
}

const TRIGGER: Shape<'type' | 'name' | 'metadata' | 'authenticationRef'> = {
  known: ['type', 'name', 'metadata', 'authenticationRef'],
  idle: ['useCachedMetrics', 'metricType'],
}

/** Reads a ScaledObject; what is wrong with it is told to the sheet of `value`. */
export function parseScaledObject(value: Value): ScaledObjectResource {
  const top = value.fields(topOf(SPEC))
  const metadata = readMetadata(top, 'ScaledObject')
  for (const name of Object.keys(metadata.annotations))
    if (name.startsWith('autoscaling.keda.sh/')) value.notice(`the annotation ${name} does nothing here`)
  const spec = top.requiredSection('spec', SPEC)
  const target = spec.requiredSection('scaleTargetRef', TARGET)
  const triggers = spec.required('triggers')
  const items = triggers?.list() ?? []
  if (triggers !== undefined && items.length === 0 && !triggers.isMap())
    triggers.mistake('`spec.triggers` must hold at least one trigger')
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata,
    where: value.where,
    spec: {
      scaleTargetRef: {
        apiVersion: target.get('apiVersion')?.word() ?? 'apps/v1',
        kind: target.get('kind')?.word() ?? 'Deployment',
        name: target.required('name')?.word() ?? '',
      },
      pollingInterval: spec.get('pollingInterval')?.integer(1) ?? 30,
      ...present({ cooldownPeriod: spec.get('cooldownPeriod')?.integer(0) }),
      ...readBounds(spec),
      triggers: readTriggers(items),
    },
  }
}

/** KEDA's own, where `maxReplicaCount` is unset. */
const KEDA_MAX = 100

function readBounds(
  spec: Fields<'minReplicaCount' | 'maxReplicaCount' | 'idleReplicaCount'>,
): Pick<ScaledObjectResource['spec'], 'minReplicaCount' | 'maxReplicaCount'> {
  const minValue = spec.get('minReplicaCount')
  const idleValue = spec.get('idleReplicaCount')
  const min = minValue?.integer(0) ?? 0
  const max = spec.get('maxReplicaCount')?.integer(1)
  const idle = idleValue?.integer(0)
  if (min > (max ?? KEDA_MAX))
    minValue?.mistake(
      `\`spec.minReplicaCount\` ${min} is above \`maxReplicaCount\` ${max ?? `${KEDA_MAX}, its default`}`,
    )
  if (idle !== undefined && idle >= min)
    idleValue?.mistake(`\`spec.idleReplicaCount\` ${idle} must be below \`minReplicaCount\` ${min}`)
  else idleValue?.notice('`spec.idleReplicaCount` does nothing here')
  return { minReplicaCount: min, ...present({ maxReplicaCount: max }) }
}

function readTriggers(items: readonly Value[]): readonly ScaleTrigger[] {
  const names = new Set<string>()
  return items.map(item => {
    const fields = item.fields(TRIGGER)
    const type = readScalerType(fields.required('type'))
    const name = fields.get('name')?.word()
    if (name !== undefined && names.has(name)) fields.get('name')?.mistake(`two triggers are named \`${name}\``)
    if (name !== undefined) names.add(name)
    const metadata = fields.get('metadata')
    const authentication = fields.get('authenticationRef')?.fields({ known: ['name', 'kind'] })
    return {
      type,
      metadata: Object.hasOwn(SCALERS, type) ? readScalerMetadata(type, item, metadata) : (metadata?.textMap() ?? {}),
      ...present({
        name,
        authenticationRef: authentication && {
          name: authentication.required('name')?.word() ?? '',
          kind:
            authentication.get('kind')?.oneOf(['TriggerAuthentication', 'ClusterTriggerAuthentication']) ??
            'TriggerAuthentication',
        },
      }),
    }
  })
}

const AUTHENTICATION: Shape<'secretTargetRef' | 'env'> = {
  known: ['secretTargetRef', 'env'],
  idle: [
    'podIdentity',
    'configMapTargetRef',
    'filePath',
    'hashiCorpVault',
    'azureKeyVault',
    'gcpSecretManager',
    'awsSecretManager',
    'boundServiceAccountToken',
    'oauth2',
  ],
}

/** Reads a TriggerAuthentication; what is wrong with it is told to the sheet of `value`. */
export function parseTriggerAuthentication(value: Value): TriggerAuthenticationResource {
  const top = value.fields(topOf(AUTHENTICATION))
  const metadata = readMetadata(top, 'TriggerAuthentication')
  const spec = top.requiredSection('spec', AUTHENTICATION)
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'TriggerAuthentication',
    metadata,
    where: value.where,
    spec: {
      secretTargetRef: spec.items('secretTargetRef').map(item => {
        const fields = item.fields({ known: ['parameter', 'name', 'key'] })
        return {
          parameter: fields.required('parameter')?.word() ?? '',
          name: fields.required('name')?.word() ?? '',
          key: fields.required('key')?.word() ?? '',
        }
      }),
      env: spec.items('env').map(item => {
        const fields = item.fields({ known: ['parameter', 'name'], idle: ['containerName'] })
        return { parameter: fields.required('parameter')?.word() ?? '', name: fields.required('name')?.word() ?? '' }
      }),
    },
  }
}
