/** Senders whose requests are known. */
export const PRESETS = ['github', 'registry', 'eventgrid'] as const
export type Preset = (typeof PRESETS)[number]

/** Templates by attribute, as a person would write them: of several the first that a request can fill counts. */
export type EventTexts = Readonly<Record<'id' | 'source' | 'type' | 'subject' | 'time', readonly string[]>>

/** What the YAML may leave out of `signature`. */
export interface SignatureTexts {
  /** In lower case. */
  readonly header?: string
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  readonly encoding: 'hex' | 'base64'
  readonly prefix: string
  readonly signed: string
}

export interface PresetFields {
  readonly event: EventTexts
  readonly split?: string
  readonly signature: SignatureTexts
}

const SIGNATURE = { algorithm: 'sha256', encoding: 'hex', prefix: '', signed: '{body}' } as const
const NOTHING: EventTexts = { id: [], source: [], type: [], subject: [], time: [] }

/** Where no preset is named. Standard Webhooks has an id of the message in a header; others mostly have none. */
const PLAIN: PresetFields = { event: { ...NOTHING, id: ['{header.webhook-id}'] }, signature: SIGNATURE }

const OF: Readonly<Record<Preset, PresetFields>> = {
  /** Named as the CloudEvents adapter for GitHub names them (cloudevents/spec, adapters/github.md). */
  github: {
    event: {
      id: ['{header.X-GitHub-Delivery}'],
      source: ['{body.repository.url}', '{body.organization.url}'],
      type: ['com.github.{header.X-GitHub-Event}.{body.action}', 'com.github.{header.X-GitHub-Event}'],
      subject: ['{body.pull_request.number}', '{body.issue.number}', '{body.ref}'],
      time: [],
    },
    signature: { ...SIGNATURE, header: 'x-hub-signature-256', prefix: 'sha256=' },
  },
  /** Docker Distribution's notifications, which OCI registries send: several events in an envelope. */
  registry: {
    event: {
      id: ['{body.id}'],
      source: ['{body.request.host}', '{body.source.addr}'],
      type: ['org.cncf.distribution.{body.action}'],
      subject: ['{body.target.repository}:{body.target.tag}', '{body.target.repository}@{body.target.digest}'],
      time: ['{body.timestamp}'],
    },
    split: 'events',
    signature: SIGNATURE,
  },
  /** Its events are CloudEvents, or become ones by their own names. */
  eventgrid: { event: NOTHING, signature: SIGNATURE },
}

export function presetFields(preset: Preset | undefined): PresetFields {
  return preset === undefined ? PLAIN : OF[preset]
}
