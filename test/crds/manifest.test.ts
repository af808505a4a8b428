import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expressionsOf } from '../../crds/filters.ts'
import { parseManifest } from '../../crds/manifest.ts'

const BROKER = 'apiVersion: eventing.knative.dev/v1\nkind: Broker\n'
const TRIGGER = 'apiVersion: eventing.knative.dev/v1\nkind: Trigger\n'
const NAMED = 'metadata: {name: x}\n'
const SUBSCRIBER = '  subscriber: {uri: http://a/b}\n'

/** `line:column: message` of every mistake. */
function mistakes(text: string): string[] {
  return parseManifest(text, 'a.yaml').mistakes.map(one => `${one.line}:${one.column}: ${one.message}`)
}

function notices(text: string): string[] {
  return parseManifest(text, 'a.yaml').notices.map(one => `${one.line}:${one.column}: ${one.message}`)
}

function only(text: string): unknown {
  const manifest = parseManifest(text, 'a.yaml')
  assert.deepEqual(manifest.mistakes, [])
  assert.equal(manifest.resources.length, 1)
  return manifest.resources[0]
}

function spec(text: string): unknown {
  return (only(text) as { spec: unknown }).spec
}

test('a Trigger is read with its defaults filled in', () => {
  const text = `# a comment first\n${TRIGGER}metadata:
  name: orders
  namespace: shop
  annotations: {weir.dev/concurrency: "5"}
spec:
  broker: default
  filters:
  - exact: {type: order.created}
  - not: {any: [{prefix: {source: /test}}, {suffix: {subject: .tmp}}]}
  subscriber:
    ref: {apiVersion: v1, kind: Service, name: orders}
    uri: /in
  delivery:
    retry: 3
    backoffPolicy: exponential
    backoffDelay: PT0.2S
    timeout: PT1M30S
    retryAfterMax: PT0S
    format: binary
    deadLetterSink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: dead, namespace: ops}}
`
  assert.deepEqual(only(text), {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Trigger',
    metadata: { name: 'orders', namespace: 'shop', labels: {}, annotations: { 'weir.dev/concurrency': '5' } },
    where: { file: 'a.yaml', line: 2, column: 1 },
    spec: {
      broker: 'default',
      filters: [
        { exact: { type: 'order.created' } },
        { not: { any: [{ prefix: { source: '/test' } }, { suffix: { subject: '.tmp' } }] } },
      ],
      subscriber: { ref: { apiVersion: 'v1', kind: 'Service', name: 'orders', namespace: 'shop' }, uri: '/in' },
      delivery: {
        retry: 3,
        backoffPolicy: 'exponential',
        backoffDelayMs: 200,
        timeoutMs: 90_000,
        retryAfterMaxMs: 0,
        format: 'binary',
        deadLetterSink: {
          ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'dead', namespace: 'ops' },
        },
      },
    },
  })
})

test('the older filter, a brokerRef and an address of any scheme are taken', () => {
  const text = `${TRIGGER}${NAMED}spec:
  brokerRef: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b}
  filter: {attributes: {type: a, source: ""}}
  subscriber: {uri: "bad://uri"}
`
  assert.deepEqual(spec(text), {
    broker: 'b',
    filters: [],
    filter: { attributes: { type: 'a', source: '' } },
    subscriber: { uri: 'bad://uri' },
  })
})

test('a Broker needs no spec, and its config is pointed out as ignored', () => {
  assert.deepEqual(spec(`${BROKER}${NAMED}spec: null\n`), {})
  assert.deepEqual(notices(`${BROKER}${NAMED}spec:\n  config: {apiVersion: v1, kind: ConfigMap, name: c}\n`), [
    '5:11: `spec.config` is ignored: it configures other implementations',
  ])
})

test('one wrong text tells every mistake at once, in order, and gives no resources', () => {
  const text = `${BROKER}metadata:\n  name: Default\nspec:\n  delivery:\n    retry: -1\n    timeout: 5s\n---\n${TRIGGER}${NAMED}spec:\n  brokr: b\n`
  const manifest = parseManifest(text, 'a.yaml')
  assert.deepEqual(manifest.resources, [])
  assert.deepEqual(
    manifest.mistakes.map(one => [one.file, one.line, one.column]),
    [
      ['a.yaml', 4, 9],
      ['a.yaml', 7, 12],
      ['a.yaml', 8, 14],
      ['a.yaml', 14, 3],
      ['a.yaml', 14, 3],
    ],
  )
})

test('an expression is kept with its place, and read by somebody else', () => {
  const text = `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters:\n  - not:\n      any:\n      - cesql: "type ="\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  assert.deepEqual(mistakes, [])
  const [one] = resources
  assert.ok(one?.kind === 'Trigger')
  const filters = one.spec.filters
  assert.deepEqual(filters, [{ not: { any: [{ cesql: 'type =', where: { file: 'a.yaml', line: 10, column: 16 } }] } }])
  assert.deepEqual(
    filters.flatMap((filter, i) => expressionsOf(filter, `spec.filters[${i}]`)),
    [{ cesql: 'type =', path: 'spec.filters[0].not.any[0].cesql', where: { file: 'a.yaml', line: 10, column: 16 } }],
  )
})

const wrong: readonly (readonly [string, string, string])[] = [
  [
    'a misspelt field',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filtr: {}\n`,
    '7:3: unknown field `filtr` in `spec`, did you mean `filter`?',
  ],
  [
    'a misspelt required field, once',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n  subscribr: {uri: http://a}\n`,
    '6:3: unknown field `subscribr` in `spec`, did you mean `subscriber`?',
  ],
  [
    'a field beside `spec`',
    `${TRIGGER}${NAMED}filters: []\nspec:\n  broker: b\n${SUBSCRIBER}`,
    '4:1: unknown field `filters`: indent it under `spec`',
  ],
  ['no broker', `${TRIGGER}${NAMED}spec:\n${SUBSCRIBER}`, '5:3: missing field `spec.broker`'],
  ['no spec', `${TRIGGER}${NAMED}`, '1:1: missing field `spec`'],
  [
    'both broker and brokerRef',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n  brokerRef: {apiVersion: v, kind: Broker, name: b}\n${SUBSCRIBER}`,
    '6:14: expected exactly one of `spec.broker` and `spec.brokerRef`, got both',
  ],
  [
    'two dialects in one filter',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters:\n  - exact: {type: a}\n    prefix: {type: b}\n`,
    '8:5: multiple dialects found in `spec.filters[0]`, a filter can have only one: make `exact` and `prefix` entries of their own',
  ],
  [
    'filters without dashes',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters:\n    exact: {type: a}\n`,
    '8:5: `spec.filters` must be a list, not a map: put `- ` before its first line and indent the rest',
  ],
  [
    'a capital in an attribute name',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters: [{exact: {Type: a}}]\n`,
    '7:22: `Type` is no attribute name: lower-case letters and digits, beginning with a letter',
  ],
  [
    'an empty expression',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters: [{cesql: ""}]\n`,
    '7:21: `spec.filters[0].cesql` must not be empty',
  ],
  [
    'an expression that is too long',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters: [{cesql: "${'é'.repeat(2049)}"}]\n`,
    '7:21: `spec.filters[0].cesql` must be at most 4096 bytes: use several filters',
  ],
  [
    'no member in `any`',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters: [{any: []}]\n`,
    '7:19: `spec.filters[0].any` must hold at least one filter',
  ],
  [
    'an attribute beside `attributes`',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filter: {type: a}\n`,
    '7:12: unknown field `type` in `spec.filter`: attributes stand under `spec.filter.attributes`',
  ],
  [
    'a subscriber without an address',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n  subscriber: {}\n`,
    '6:15: `spec.subscriber` needs `ref` or `uri`',
  ],
  [
    'an absolute uri beside ref',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n  subscriber: {uri: "http://a", ref: {apiVersion: v1, kind: Service, name: s}}\n`,
    '6:21: `spec.subscriber.uri` must be relative beside `ref`, as in "/path"',
  ],
  [
    'a uri without a host',
    `${TRIGGER}${NAMED}spec:\n  broker: b\n  subscriber: {uri: orders}\n`,
    '6:21: `spec.subscriber.uri` must be absolute, as in "http://host/path", not "orders"',
  ],
  [
    'a misspelt word',
    `${BROKER}${NAMED}spec: {delivery: {backoffPolicy: exponental}}\n`,
    '4:34: `spec.delivery.backoffPolicy` must be one of `linear`, `exponential`, not `exponental`, did you mean `exponential`?',
  ],
  [
    'a duration of another language',
    `${BROKER}${NAMED}spec: {delivery: {backoffDelay: 1m30s}}\n`,
    '4:33: `spec.delivery.backoffDelay` must be an ISO 8601 duration, not `1m30s`: write "PT1M30S"',
  ],
  [
    'a timeout of nothing',
    `${BROKER}${NAMED}spec: {delivery: {timeout: PT0S}}\n`,
    '4:28: `spec.delivery.timeout` must be longer than nothing',
  ],
  [
    'a number in quotes',
    `${BROKER}${NAMED}spec: {delivery: {retry: "3"}}\n`,
    '4:26: `spec.delivery.retry` must be a whole number, 0 or more, not the text "3": take the quotes off, 3',
  ],
  [
    'a number for a label',
    `${BROKER}metadata: {name: x, labels: {a: 010}}\n`,
    '3:33: `metadata.labels.a` must be text, and 010 without quotes is a number in YAML: write "010"',
  ],
  [
    'a boolean that kubectl sees',
    `${BROKER}metadata: {name: x, annotations: {a: on}}\n`,
    '3:38: `metadata.annotations.a` must be text, and on without quotes is a boolean in YAML: write "on"',
  ],
  [
    'a misspelt annotation of ours',
    `${BROKER}metadata: {name: x, annotations: {weir.dev/stor: memory}}\n`,
    '3:50: unknown annotation `weir.dev/stor`, did you mean `weir.dev/store`?',
  ],
  [
    'a bad value of an annotation of ours',
    `${BROKER}metadata: {name: x, annotations: {weir.dev/store: disk}}\n`,
    '3:51: annotation `weir.dev/store` must be `durable` or `memory`, not "disk"',
  ],
  [
    'a misspelt kind',
    `apiVersion: eventing.knative.dev/v1\nkind: Triger\n${NAMED}`,
    '2:7: unknown kind `Triger`, did you mean `Trigger`?',
  ],
  [
    'a kind in lower case',
    `apiVersion: v1\nkind: secret\n${NAMED}`,
    '2:7: unknown kind `secret`, did you mean `Secret`?',
  ],
  [
    'an old apiVersion',
    `apiVersion: eventing.knative.dev/v1beta1\nkind: Trigger\n${NAMED}`,
    '1:13: the apiVersion of Trigger is `eventing.knative.dev/v1`, not `eventing.knative.dev/v1beta1`',
  ],
  [
    'a misspelt apiVersion',
    `apiVersion: eventing.knativ.dev/v1\nkind: Trigger\n${NAMED}`,
    '1:13: the apiVersion of Trigger is `eventing.knative.dev/v1`, not `eventing.knativ.dev/v1`',
  ],
  ['no kind', `apiVersion: v1\n${NAMED}`, '1:1: missing field `kind`'],
  ['no name', `${BROKER}metadata: {}\n`, '3:11: missing field `metadata.name`'],
  ['a list of words', '- a\n', '1:1: this is no Kubernetes object: it needs `apiVersion`, `kind` and `metadata`'],
  [
    'the same object twice',
    `${BROKER}${NAMED}---\n${BROKER}${NAMED}`,
    '5:1: Broker/default/x is given twice, first in a.yaml:1',
  ],
  ['a field twice', `${BROKER}${NAMED}metadata: {name: y}\n`, '4:1: `metadata` is given twice, first in line 3'],
  ['a tab', `${BROKER}metadata:\n\tname: x\n`, '4:1: a tab cannot indent YAML, use spaces'],
  [
    'a plain connection string',
    `apiVersion: sources.weir.dev/v1alpha1\nkind: AzureStorageQueueSource\n${NAMED}spec:\n  queueName: abc\n  auth: {connectionString: AccountKey=s3cret}\n  sink: {uri: http://a}\n`,
    '6:28: `spec.auth.connectionString` must not stand here in the open: put it in a Secret and name it by `secretKeyRef`',
  ],
  [
    'a number in a Secret, not shown',
    `apiVersion: v1\nkind: Secret\n${NAMED}stringData: {pin: 4711}\n`,
    '4:19: `stringData.pin` must be text: put it in quotes',
  ],
  [
    'plain text as base64',
    `apiVersion: v1\nkind: Secret\n${NAMED}data: {a: "hunter2!"}\n`,
    '4:8: `data.a` is not base64: encode it, or put the plain text under `stringData`',
  ],
]

for (const [what, text, mistake] of wrong) {
  test(`${what} is a mistake with its place and its remedy`, () => assert.deepEqual(mistakes(text), [mistake]))
}

test('a filter value that is a number asks for quotes', () => {
  const [mistake] = mistakes(`${TRIGGER}${NAMED}spec:\n  broker: b\n${SUBSCRIBER}  filters: [{exact: {seq: 1}}]\n`)
  assert.match(mistake ?? '', /write "1"$/)
})

test('kinds of others are noticed and left alone, also when they share a name with ours', () => {
  const text =
    'apiVersion: serving.knative.dev/v1\nkind: Service\n---\napiVersion: apps/v1\nkind: StatefulSet\n---\napiVersion: example.com/v1\nkind: Trigger\n'
  assert.deepEqual(mistakes(text), [])
  assert.deepEqual(notices(text), [
    '2:7: Service (serving.knative.dev/v1) is not a kind that Weir knows: left alone',
    '5:7: StatefulSet (apps/v1) is not a kind that Weir knows: left alone',
    '8:7: Trigger (example.com/v1) is not a kind that Weir knows: left alone',
  ])
})

test('empty texts, comments and empty documents hold nothing', () => {
  for (const text of ['', '\n', '---\n---\n', '# only this\n', '\ufeff', 'null\n'])
    assert.deepEqual(parseManifest(text, 'a.yaml'), { resources: [], mistakes: [], notices: [] })
})

test('a List and JSON, indented by tabs too, are read as kubectl reads them', () => {
  const broker = { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', metadata: { name: 'a' } }
  const list = { apiVersion: 'v1', kind: 'List', items: [broker, { ...broker, metadata: { name: 'b' } }] }
  const { resources, mistakes } = parseManifest(JSON.stringify(list, undefined, '\t'), 'a.json')
  assert.deepEqual(mistakes, [])
  assert.deepEqual(
    resources.map(one => [one.metadata.name, one.where.line]),
    [
      ['a', 5],
      ['b', 12],
    ],
  )
})

test('anchors, aliases and merge keys mean what they mean to kubectl', () => {
  const text = `${BROKER}metadata:\n  name: x\n  labels: &base {a: "1", b: "2"}\n  annotations:\n    <<: *base\n    b: "3"\n`
  const broker = only(text) as { metadata: { annotations: unknown } }
  assert.deepEqual(broker.metadata.annotations, { a: '1', b: '3' })
})

test('dates and 1:30 are text, as they are to kubectl', () => {
  const broker = only(`${BROKER}metadata: {name: x, annotations: {a: 2026-01-01, b: 1:30, c: 1:30.5}}\n`) as {
    metadata: { annotations: unknown }
  }
  assert.deepEqual(broker.metadata.annotations, { a: '2026-01-01', b: '1:30', c: '1:30.5' })
})

test('what an API server adds to an object is no mistake', () => {
  const text = `${TRIGGER}metadata:
  name: x
  uid: 0b1c
  generation: 2
  creationTimestamp: 2026-01-01T00:00:00Z
  resourceVersion: "12"
  managedFields: []
  finalizers: [a]
spec:
  broker: b
  filter: {}
${SUBSCRIBER}status: {conditions: []}
`
  const { metadata } = only(text) as { metadata: { uid: string; generation: number } }
  assert.deepEqual([metadata.uid, metadata.generation], ['0b1c', 2])
  assert.deepEqual(notices(text), [])
})
