import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

function read(text: string) {
  const { resources, mistakes, notices } = parseManifest(text, 'a.yaml')
  return {
    resource: resources[0],
    mistakes: mistakes.map(one => one.message),
    notices: notices.map(one => one.message),
  }
}

const scaledObject = (spec: string) =>
  read(`apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: x}\nspec: ${spec}`)
const WEIR = '{type: weir, metadata: {trigger: t}}'

test("a ScaledObject gets KEDA's defaults, and leaves open what depends on where it runs", () => {
  const { resource } = scaledObject(`{scaleTargetRef: {name: w}, triggers: [${WEIR}]}`)
  assert.ok(resource?.kind === 'ScaledObject')
  assert.deepEqual(resource.spec, {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'w' },
    pollingInterval: 30,
    minReplicaCount: 0,
    triggers: [{ type: 'weir', metadata: { trigger: 't' } }],
  })
})

test('every legal field of a ScaledObject is taken, and those that do nothing here are said', () => {
  const { mistakes, notices } = scaledObject(`
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: w, envSourceContainerName: c}
  pollingInterval: 5
  cooldownPeriod: 0
  initialCooldownPeriod: 10
  idleReplicaCount: 0
  minReplicaCount: 1
  maxReplicaCount: 8
  fallback: {failureThreshold: 1, replicas: 2}
  advanced: {restoreToOriginalReplicaCount: true}
  triggers:
  - type: azure-queue
    name: q
    useCachedMetrics: true
    metricType: AverageValue
    metadata: {queueName: q, queueLength: "5", connectionFromEnv: CONNECTION, queueLengthStrategy: visibleonly}
    authenticationRef: {name: auth}
  - {type: redis, metadata: {listName: t}}
`)
  assert.deepEqual(mistakes, [])
  assert.deepEqual(notices, [
    '`spec.scaleTargetRef.envSourceContainerName` does nothing here',
    '`spec.initialCooldownPeriod` does nothing here',
    '`spec.idleReplicaCount` does nothing here',
    '`spec.fallback` does nothing here',
    '`spec.advanced` does nothing here',
    '`spec.triggers[0].useCachedMetrics` does nothing here',
    '`spec.triggers[0].metricType` does nothing here',
    'the scaler `redis` is not served yet: this trigger is left out',
  ])
})

for (const [spec, mistake] of [
  [
    `{scaleTargetRef: {name: w}, minReplicaCount: 5, maxReplicaCount: 2, triggers: [${WEIR}]}`,
    '`spec.minReplicaCount` 5 is above `maxReplicaCount` 2',
  ],
  [
    `{scaleTargetRef: {name: w}, minReplicaCount: 101, triggers: [${WEIR}]}`,
    '`spec.minReplicaCount` 101 is above `maxReplicaCount` 100, its default',
  ],
  [
    `{scaleTargetRef: {name: w}, idleReplicaCount: 1, minReplicaCount: 1, triggers: [${WEIR}]}`,
    '`spec.idleReplicaCount` 1 must be below `minReplicaCount` 1',
  ],
  ['{scaleTargetRef: {name: w}, triggers: []}', '`spec.triggers` must hold at least one trigger'],
  [
    `{scaleTargetRef: {name: w}, pollingInterval: 0, triggers: [${WEIR}]}`,
    '`spec.pollingInterval` must be a whole number, 1 or more, not 0',
  ],
  [
    '{scaleTargetRef: {name: w}, triggers: [{type: azure-queu}]}',
    'unknown scaler `azure-queu`, did you mean `azure-queue`?',
  ],
  ['{scaleTargetRef: {name: w}, triggers: [{type: weir}]}', 'missing `trigger` in the metadata of the scaler `weir`'],
  [
    '{scaleTargetRef: {name: w}, triggers: [{type: weir, metadata: {trigger: t, lagTreshold: "1"}}]}',
    'the scaler `weir` has no `lagTreshold`, did you mean `lagThreshold`?',
  ],
  [
    '{scaleTargetRef: {name: w}, triggers: [{type: weir, metadata: {trigger: t, lagThreshold: "0"}}]}',
    '`lagThreshold` must be a whole number above 0, not "0"',
  ],
] as const) {
  test(`a ScaledObject is refused: ${mistake}`, () => assert.deepEqual(scaledObject(`${spec}\n`).mistakes, [mistake]))
}

test('a TriggerAuthentication is read, and its other providers are said to do nothing', () => {
  const { resource, notices } = read(
    'apiVersion: keda.sh/v1alpha1\nkind: TriggerAuthentication\nmetadata: {name: a}\nspec:\n  secretTargetRef: [{parameter: connection, name: s, key: k}]\n  env: [{parameter: p, name: NAME, containerName: c}]\n  podIdentity: {provider: none}\n',
  )
  assert.ok(resource?.kind === 'TriggerAuthentication')
  assert.deepEqual(resource.spec, {
    secretTargetRef: [{ parameter: 'connection', name: 's', key: 'k' }],
    env: [{ parameter: 'p', name: 'NAME' }],
  })
  assert.deepEqual(notices, ['`spec.env[0].containerName` does nothing here', '`spec.podIdentity` does nothing here'])
})
