import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { type Broker, openBroker } from '../broker/broker.ts'
import { BROKER_DEFAULTS } from '../broker/config.ts'
import { openBacklog } from '../clients/backlog.ts'
import type { StateView } from '../contract/api.ts'
import type { TokenSource } from '../contract/tokens.ts'
import type { Mistake } from '../crds/resource.ts'
import type { Log } from '../runtime/log.ts'
import { type Metrics, openMetrics } from '../runtime/metrics.ts'
import { keepYoungGenerationSmall, type Outside, shareCompileCache } from '../runtime/outside.ts'
import { openStatusServer, type StatusServer } from '../runtime/status-server.ts'
import { type Autoscaler, startAutoscaler } from '../trigger-controller/autoscaler/autoscaler.ts'
import { type Controller, startController } from '../trigger-controller/controller.ts'
import { laptop } from '../trigger-controller/profile.ts'
import { type Api, openApi } from './api.ts'
import { archiveRoutes } from './archive-api.ts'
import { brokerConfig, choosePorts, chooseWebhookPort, HOST, type StandaloneConfig } from './config.ts'
import { Edits } from './edits.ts'
import { loadFiles, watchFiles } from './files.ts'
import type { LocalIssuer } from './issuer.ts'
import { LocalDoor } from './local-door.ts'
import { openOnFreePort } from './ports.ts'
import { openStateFile, stateDir } from './state-file.ts'
import type { KnownStatus } from './statuses.ts'
import { openTokens } from './tokens.ts'
import type { Tell } from './told.ts'
import { openSinkOf, runSource } from './upstream.ts'
import { LocalWorld } from './world.ts'

/** The console, built. */
const ASSETS = fileURLToPath(new URL('../console/dist', import.meta.url))

export interface StandaloneDeps {
  readonly outside: Pick<Outside, 'clock' | 'random' | 'env' | 'pid' | 'uid' | 'tempDir'>
  readonly log: Log
  readonly tell: Tell
  /** Called once when the store failed: what is acknowledged holds, but nothing more can be, so the process should end. */
  readonly fatal: (error: Error) => void
}

/**
 * The whole of Weir in this process, with subscribers as local processes. Disposing drains: first the adapters, then the
 * door and the deliveries, then the processes.
 */
export interface Standalone extends AsyncDisposable {
  /** Origins, without a path. */
  readonly ingress: string
  readonly console: string
  readonly files: readonly string[]
  state(): StateView
  /** Events that would go with this process, had it ended now; after disposing, those that have gone. */
  discarding(): number
  /** Local processes that have not ended. */
  readonly processes: number
  /** Ends the local processes at once. */
  kill(): void
}

/** The YAML is wrong: every mistake of every file. */
export class ManifestError extends Error {
  readonly code = 'manifest-wrong'
  override readonly name = 'ManifestError'
  readonly mistakes: readonly Mistake[]

  constructor(mistakes: readonly Mistake[]) {
    super(mistakes.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'))
    this.mistakes = mistakes
  }
}

/**
 * Opens the local world; resolves when it takes events.
 * @throws {ManifestError} before anything is opened.
 * @throws {PortTakenError} a port that was asked for is taken.
 * @throws what the store throws when its folder cannot be used.
 */
export async function openStandalone(config: StandaloneConfig, deps: StandaloneDeps): Promise<Standalone> {
  const { outside, log, tell } = deps
  const { clock, random } = outside
  const loaded = await loadFiles(config.paths, config.cwd)
  if (loaded.mistakes.length > 0) throw new ManifestError(loaded.mistakes)
  const ports = await choosePorts(config)
  for (const text of ports.notices) tell({ kind: 'info', text })

  shareCompileCache()
  keepYoungGenerationSmall()
  await using opening = new AsyncDisposableStack()
  const metrics = openMetrics()
  const health: Health = { failure: undefined, started: false }
  const onFatal = (error: Error) => {
    health.failure = error
    deps.fatal(error)
  }
  const door = opening.use(localDoor(config, deps))
  // Closed last, after the broker has finished what is in flight, and made first, so that it is closed whatever fails.
  let world: LocalWorld | undefined
  opening.defer(() => world?.stopProcesses())
  opening.defer(() => world?.closeSinks())
  const tokens = opening.use(openTokens(config, deps))
  const { issuer, verifier } = tokens
  const brokerDeps = { clock, random, log, metrics, onFatal, verifier, tokens: issuer }
  const listen = (port: number) => openBroker(brokerConfig(config, port), brokerDeps)
  const broker = opening.use(await where(config.port, ports.port, listen))
  const local = openWorld(config, { broker, door, tokens: issuer, health }, deps)
  world = local
  opening.defer(() => local.closeAdapters())
  const { autoscaler, controller } = startControl(local, broker, opening, deps)
  const parts = { world: local, broker, autoscaler, issuer, metrics, health }
  const { api, page } = await openConsole(
    { asked: config.consolePort, chosen: ports.consolePort },
    parts,
    opening,
    deps,
  )
  // Before the door takes events of senders whose tokens it has to know.
  issuer.at(page.origin)
  const edits = opening.use(new Edits({ clock, world: local, controller, tell, broker: config.broker }))
  edits.first(loaded)
  tokens.follow(local.features())
  await controller.settled()
  health.started = true
  opening.use(
    watchFiles(config.paths, config.cwd, loaded, clock, next => {
      edits.next(next)
      tokens.follow(local.features())
    }),
  )
  makeKnown({ ingress: broker.origin, console: page.origin, cwd: config.cwd }, opening, deps)

  const open = opening.move()
  let closing: Promise<void> | undefined
  return {
    ingress: broker.origin,
    console: page.origin,
    files: loaded.files,
    state: api.state,
    discarding: () => broker.discarding(),
    get processes() {
      return local.processes
    },
    kill: () => local.killProcesses(),
    [Symbol.asyncDispose]: () => (closing ??= open.disposeAsync()),
  }
}

interface ConsoleParts {
  readonly world: LocalWorld
  readonly broker: Broker
  readonly autoscaler: Autoscaler
  readonly issuer: LocalIssuer
  readonly metrics: Metrics
  readonly health: Health
}

/** At the port that was asked for, or near the one that was chosen. */
function where<T>(asked: number | undefined, chosen: number, open: (port: number) => Promise<T>): Promise<T> {
  return asked === undefined ? openOnFreePort(HOST, chosen, open) : open(chosen)
}

async function openConsole(
  { asked, chosen }: { readonly asked: number | undefined; readonly chosen: number },
  { world, broker, autoscaler, issuer, metrics, health }: ConsoleParts,
  opening: AsyncDisposableStack,
  { outside, log }: StandaloneDeps,
): Promise<{ api: Api; page: StatusServer }> {
  const { clock } = outside
  const api = opening.use(openApi({ clock, world, broker, autoscaler }))
  const checks = () => [{ name: 'store', ok: health.failure === undefined, detail: health.failure?.message ?? '' }]
  const documents = { ...api.documents, ...issuer.documents }
  const { streams } = api
  const routes = archiveRoutes({ world, broker, log })
  const parts = { clock, log, metrics, documents, streams, routes, checks }
  const listen = (port: number) => openStatusServer({ host: HOST, port, assetsDir: ASSETS }, parts)
  const page = opening.use(await where(asked, chosen, listen))
  return { api, page }
}

interface Health {
  failure: Error | undefined
  /** Before this, readiness comes and goes with every step of the start, and is nobody's news. */
  started: boolean
}

/** Opened when a webhook or a sink first needs it. */
function localDoor({ webhookPort }: StandaloneConfig, { outside, log, tell }: StandaloneDeps): LocalDoor {
  const port = async () => {
    const chosen = await chooseWebhookPort(webhookPort)
    for (const text of chosen.notices) tell({ kind: 'info', text })
    return chosen.port
  }
  return new LocalDoor({ clock: outside.clock, log, host: HOST, port, bodyMaxBytes: BROKER_DEFAULTS.bodyMaxBytes })
}

interface WorldParts {
  readonly broker: Broker
  readonly door: LocalDoor
  readonly tokens: TokenSource
  readonly health: Health
}

function openWorld(
  config: StandaloneConfig,
  { broker, door, tokens, health }: WorldParts,
  deps: StandaloneDeps,
): LocalWorld {
  const { outside, log, tell } = deps
  const upstream = { clock: outside.clock, random: outside.random, log }
  return new LocalWorld({
    ...upstream,
    broker,
    cwd: config.cwd,
    dataDir: config.dataDir,
    baseEnv: definedOnly(outside.env),
    runAdapter: (workload, report, signal) =>
      runSource(workload, report, { ...upstream, tokens, door: () => door.open() }, signal),
    sinks: { door: () => door.open(), open: spec => openSinkOf(spec, upstream) },
    say: text => tell({ kind: 'warning', text }),
    note: text => tell({ kind: 'info', text }),
    output: (replica, line) => tell({ kind: 'output', replica, line }),
    statusChanged: (key, now, before) => health.started && tellReadiness(key, now, before, tell),
  })
}

/** Controller and autoscaler, each of which needs the other's word. */
function startControl(
  world: LocalWorld,
  broker: Broker,
  opening: AsyncDisposableStack,
  { outside, log, tell }: StandaloneDeps,
): { autoscaler: Autoscaler; controller: Controller } {
  const { clock, random } = outside
  const common = { clock, random, log, profile: laptop(availableParallelism()) }
  const autoscaler = opening.use(
    startAutoscaler(world, broker.backlog, {
      ...common,
      openBacklog: query => openBacklog(query, clock),
      // The explanation begins with the new number.
      onChange: ({ target, from, explain }) =>
        tell({ kind: 'info', text: `${target.kind} ${target.name} ${from} → ${explain}` }),
    }),
  )
  const refreshScale = async (signal: AbortSignal) => {
    await autoscaler.refresh(signal)
    world.runDeclared(workload => autoscaler.owns(workload))
  }
  return { autoscaler, controller: opening.use(startController(world, { ...common, refreshScale })) }
}

/** Writes the state file. A world that cannot is still a world. */
function makeKnown(
  where: { ingress: string; console: string; cwd: string },
  opening: AsyncDisposableStack,
  { outside, tell }: StandaloneDeps,
): void {
  try {
    const file = { ...where, pid: outside.pid, startedMs: outside.clock.nowMs() }
    opening.use(openStateFile(stateDir(outside), file))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    tell({ kind: 'warning', text: `other terminals must be told where Weir is (--url): ${why}` })
  }
}

function tellReadiness(key: string, now: KnownStatus, before: KnownStatus | undefined, tell: Tell): void {
  const ready = now.conditions.find(({ type }) => type === 'Ready')
  if (ready?.status === before?.conditions.find(({ type }) => type === 'Ready')?.status) return
  if (ready?.status === 'True') tell({ kind: 'info', text: `${key} is ready` })
  else tell({ kind: 'warning', text: `${key} is not ready: ${ready?.message ?? ready?.reason ?? 'nobody knows why'}` })
}

function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
