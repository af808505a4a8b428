/** The address of Weir's default Broker. */
export const PATH = '/default/default'

const BROKER = `apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: default}
`

export interface TriggerYaml {
  readonly name: string
  /** The exact type that it wants. */
  readonly type: string
  readonly url: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** The type of every event of the load. */
export const TYPE = 'bench.order.created'

/** The default Broker with these Triggers. */
export function yamlOf(triggers: readonly TriggerYaml[]): string {
  const parts = triggers.map(
    ({ name, type, url, annotations = {} }) => `---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: ${name}, annotations: ${JSON.stringify(annotations)}}
spec:
  broker: default
  filters: [{exact: {type: ${type}}}]
  subscriber: {uri: '${url}'}
`,
  )
  return BROKER + parts.join('')
}
