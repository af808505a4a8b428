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

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 2
  strategy: {type: Recreate}
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker, tier: back}}
    spec:
      terminationGracePeriodSeconds: 5
      serviceAccountName: sa
      volumes: [{name: v, emptyDir: {}}]
      containers:
      - name: main
        image: example/worker:1
        command: [node, worker.mjs]
        args: ["--fast"]
        ports: [{containerPort: 8080}]
        resources: {limits: {cpu: 1}}
        readinessProbe: {httpGet: {path: /ready, port: 8080}, periodSeconds: 1}
        env:
        - {name: PLAIN, value: "1"}
        - {name: EMPTY}
        - {name: FROM_SECRET, valueFrom: {secretKeyRef: {name: s, key: k}}}
        - {name: FROM_MAP, valueFrom: {configMapKeyRef: {name: m, key: k, optional: true}}}
`

test('a Deployment is read in the parts that are run, and the rest of Kubernetes passes in silence', () => {
  const { resource, mistakes, notices } = read(DEPLOYMENT)
  assert.deepEqual([mistakes, notices], [[], []])
  assert.ok(resource?.kind === 'Deployment')
  assert.deepEqual(resource.spec, {
    replicas: 2,
    podLabels: { app: 'worker', tier: 'back' },
    terminationGracePeriodSeconds: 5,
    container: {
      name: 'main',
      image: 'example/worker:1',
      command: ['node', 'worker.mjs'],
      args: ['--fast'],
      readinessPath: '/ready',
      env: [
        { name: 'PLAIN', value: '1' },
        { name: 'EMPTY', value: '' },
        { name: 'FROM_SECRET', from: 'secret', object: 's', key: 'k', optional: false },
        { name: 'FROM_MAP', from: 'config-map', object: 'm', key: 'k', optional: true },
      ],
    },
  })
})

test('the annotation weir.dev/local-command takes the place of command and args', () => {
  const annotated = (value: string) =>
    read(DEPLOYMENT.replace('{name: worker}', `{name: worker, annotations: {weir.dev/local-command: '${value}'}}`))
  for (const [value, command] of [
    ['["node", "local.mjs"]', ['node', 'local.mjs']],
    ['npm run worker', ['sh', '-c', 'npm run worker']],
  ] as const) {
    const { resource } = annotated(value)
    assert.ok(resource?.kind === 'Deployment')
    assert.deepEqual([resource.spec.container.command, resource.spec.container.args], [command, []])
  }
  assert.match(annotated('[1]').mistakes[0] ?? '', /must be a JSON list of texts, or a line for sh/)
})

test('a misspelt field of a part that is run is a mistake, one of a newer Kubernetes a notice', () => {
  const misspelt = read(DEPLOYMENT.replace('command:', 'comand:'))
  assert.deepEqual(misspelt.mistakes, [
    'unknown field `comand` in `spec.template.spec.containers[0]`, did you mean `command`?',
  ])
  const newer = read(DEPLOYMENT.replace('serviceAccountName: sa', 'quantumEntanglement: true'))
  assert.deepEqual(newer.mistakes, [])
  assert.deepEqual(newer.notices, ['unknown field `quantumEntanglement` in `spec.template.spec`, left alone'])
})

test('a selector that does not fit the pods is refused, as an API server refuses it', () => {
  assert.deepEqual(read(DEPLOYMENT.replace('matchLabels: {app: worker}', 'matchLabels: {app: other}')).mistakes, [
    '`spec.selector.matchLabels` wants app=other, which the labels of `spec.template` do not have',
  ])
})

test('second containers and envFrom are said to do nothing', () => {
  const text = `${DEPLOYMENT}        envFrom: [{secretRef: {name: s}}]\n      - {name: side, image: x}\n`
  assert.deepEqual(read(text).notices, [
    '`envFrom` does nothing here: name the variables under `env`',
    '`spec.template.spec.containers[1]` does nothing here: only the first container of a Deployment is run',
  ])
})

test('a Secret is decoded, stringData on top; names like __proto__ are names', () => {
  const { resource } = read(
    'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\ndata: {a: aGk=, b: b2xk, __proto__: eA==}\nstringData: {b: new}\n',
  )
  assert.ok(resource?.kind === 'Secret')
  assert.deepEqual(Object.entries(resource.data), [
    ['a', 'hi'],
    ['b', 'new'],
    ['__proto__', 'x'],
  ])
  assert.equal(Object.getPrototypeOf(resource.data), Object.prototype)
})

test('a Service and a ConfigMap are read', () => {
  const service = read(
    'apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: None, selector: {app: a}, ports: [{port: 80, name: http, targetPort: 8080}, {port: 81}]}\n',
  )
  assert.deepEqual([service.mistakes, service.notices], [[], []])
  assert.ok(service.resource?.kind === 'Service')
  assert.deepEqual(service.resource.spec, { selector: { app: 'a' }, ports: [{ port: 80, name: 'http' }, { port: 81 }] })
  const map = read('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  a: |\n    two\n    lines\n  b:\n')
  assert.ok(map.resource?.kind === 'ConfigMap')
  assert.deepEqual(map.resource.data, { a: 'two\nlines\n', b: '' })
})
