import { triggerId } from '../contract/ids.ts'
import type { BrokerResource } from '../crds/broker.ts'
import { checkReferences } from '../crds/check.ts'
import type { Notice, Resource } from '../crds/manifest.ts'
import type { Cancel, Clock } from '../runtime/clock.ts'
import type { Controller } from '../trigger-controller/controller.ts'
import { type Edit, KEEP_MS, keysOf } from './catalog.ts'
import { DEFAULT_BROKER } from './config.ts'
import type { Loaded } from './files.ts'
import type { Tell } from './told.ts'
import type { LocalWorld } from './world.ts'

export interface EditsDeps {
  readonly clock: Clock
  readonly world: LocalWorld
  readonly controller: Pick<Controller, 'changed'>
  readonly tell: Tell
  /** As in `StandaloneConfig`. */
  readonly broker: string | undefined
}

/** Brings what the files say into the world, and says what that does. */
export class Edits implements Disposable {
  readonly #deps: EditsDeps
  readonly #said = new Set<string>()
  #wrong = false
  #cancel: Cancel = () => {}

  constructor(deps: EditsDeps) {
    this.#deps = deps
  }

  /** What was read at the start, and is right. */
  first(loaded: Loaded): void {
    this.#take(loaded)
  }

  /** What was read after an edit. With mistakes in it, what holds goes on as it is. */
  next(loaded: Loaded): void {
    const { tell } = this.#deps
    if (loaded.mistakes.length > 0) {
      this.#wrong = true
      tell({ kind: 'mistakes', mistakes: loaded.mistakes })
      return
    }
    const edit = this.#take(loaded)
    const words = [
      ...sayings('added', edit.added),
      ...sayings('changed', edit.changed),
      ...sayings('removed', edit.removed),
    ]
    const nothing = this.#wrong ? 'the files are right again; nothing else changed' : undefined
    const text = words.length > 0 ? words.join(', ') : nothing
    if (text !== undefined) tell({ kind: 'info', text })
    this.#wrong = false
    if (edit.kept.length > 0) this.#keep(edit.kept)
  }

  [Symbol.dispose](): void {
    this.#cancel()
  }

  #take(loaded: Loaded): Edit {
    const { world, controller } = this.#deps
    const resources = this.#withBroker(loaded.resources)
    for (const notice of [...loaded.notices, ...checkReferences(resources)]) this.#sayOnce(notice)
    const edit = world.edit(resources)
    controller.changed(keysOf(edit))
    return edit
  }

  /** A laptop always has a Broker to send to. */
  #withBroker(resources: readonly Resource[]): readonly Resource[] {
    const asked = this.#deps.broker ?? DEFAULT_BROKER
    const brokers = resources.filter(resource => resource.kind === 'Broker')
    const there = brokers.some(({ metadata }) => `${metadata.namespace}/${metadata.name}` === asked)
    if (there || (asked === DEFAULT_BROKER && brokers.length > 0)) return resources
    const text = `Broker ${asked} is not in the YAML; here it exists all the same, in a cluster it would not`
    if (!this.#said.has(text)) this.#deps.tell({ kind: 'info', text })
    this.#said.add(text)
    return [...resources, impliedBroker(asked)]
  }

  #keep(kept: readonly Resource[]): void {
    const { clock, tell } = this.#deps
    const owing = kept.filter(resource => this.#owed(resource) > 0)
    const names = (owing.length > 0 ? owing : kept).map(nameOf).join(', ')
    const seconds = KEEP_MS / 1000
    tell({
      kind: 'warning',
      text: `the YAML no longer has ${names}, which still owes events: kept for ${seconds} s; put it back to keep them`,
    })
    this.#cancel()
    this.#cancel = clock.after(KEEP_MS, () => this.#expire())
  }

  #expire(): void {
    const { world, controller, tell } = this.#deps
    const owed = new Map(world.catalog.all('Trigger').map(trigger => [trigger, this.#owed(trigger)]))
    const edit = world.expire()
    controller.changed(keysOf(edit))
    for (const resource of edit.removed) {
      const events = resource.kind === 'Trigger' ? (owed.get(resource) ?? 0) : 0
      const lost = events > 0 ? `, and with it the ${events} events it owed` : ''
      tell({ kind: events > 0 ? 'warning' : 'info', text: `${nameOf(resource)} is gone now${lost}` })
    }
  }

  #owed(resource: Resource): number {
    if (resource.kind !== 'Trigger') return 0
    return this.#deps.world.owed(triggerId(resource.metadata.namespace, resource.metadata.name))
  }

  #sayOnce({ file, line, column, message }: Notice): void {
    const text = `${file}:${line}:${column}: ${message}`
    if (this.#said.has(message)) return
    this.#said.add(message)
    this.#deps.tell({ kind: 'info', text })
  }
}

function sayings(verb: string, resources: readonly Resource[]): string[] {
  return resources.length === 0 ? [] : [`${verb} ${resources.map(nameOf).join(', ')}`]
}

function nameOf({ kind, metadata }: Resource): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`
}

function impliedBroker(id: string): BrokerResource {
  const [namespace = '', name = ''] = id.split('/')
  return {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata: { namespace, name, labels: {}, annotations: {} },
    spec: {},
    where: { file: '(implied)', line: 1, column: 1 },
  }
}
