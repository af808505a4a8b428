import { existsSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { DevOptions } from '../standalone/dev.ts'
import { addArchiveCommands } from './archive-commands.ts'
import { Failure } from './failure.ts'
import type { GetOptions } from './get.ts'
import type { SendOptions } from './send.ts'
import { paintFor } from './style.ts'
import type { TailOptions } from './tail.ts'
import { version, weirVersion } from './version.ts'

/**
 * Every command with its options and its help, examples first. What a command needs is loaded when it runs.
 * @param ended is told the exit code.
 */
export function weirProgram(ended: (code: number) => void): Command {
  const program = new Command('weir')
    .summary('an event broker')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .version(weirVersion(), '-V, --version', 'show the version')
    .exitOverride()
    .showHelpAfterError('  try: weir --help')
    .configureOutput(colouredErrors)
  program.addHelpText('before', TOP)
  addDev(program, ended)
  addInit(program, ended)
  addSend(program, ended)
  addGet(program, ended)
  addTail(program, ended)
  addArchiveCommands(program, { command, console: CONSOLE, count, rate, ended })
  addToken(program, ended)
  addValidate(program, ended)
  addVersion(program, ended)
  return program
}

const TOP = `Weir: events from queues and HTTP, through Brokers and Triggers, to services that scale from zero.

First steps:
  weir init hello && cd hello       a first Broker, Trigger and handler
  weir dev -f events.yaml           the local world, until Ctrl-C
  weir send order.created total=42  an event into it, from a second terminal
  weir tail                         what becomes of events
  weir event ID                     why one of them is where it is
`

const CONSOLE = [
  '--console <url>',
  'console of the world to ask (default: the one that runs here, else http://127.0.0.1:9080)',
] as const

function addDev(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'dev',
    'run the local world: broker, adapters, autoscaler and your services as processes',
    `
  weir dev -f events.yaml
  weir dev -f k8s/ -f local.yaml --data .weir      a folder and a file; events outlive the process
`,
  )
    .option('-f, --file <path...>', 'YAML or JSON files and folders, as for kubectl apply (default: events.yaml)')
    .option('--port <port>', 'port of the door for events (default: 8080 or the next free one)', port)
    .option('--console-port <port>', 'port of console, API and metrics (default: 9080 or the next free one)', port)
    .option('--webhook-port <port>', 'port of the door for webhooks (default: 8081 or the next free one)', port)
    .option('--tls-cert <file>', 'certificate (PEM) of a door with TLS beside the plain one; renewed when the file is')
    .option('--tls-key <file>', 'its key')
    .option('--tls-port <port>', 'its port (default: 8443)', port)
    .option('--data <dir>', 'folder that keeps the events (default: a temporary one)')
    .option('--memory', 'keep events in memory only')
    .option(
      '--delivery-threads <n>',
      'threads that post events (default: none; with 4 cores or more, one once it is needed)',
      threads,
    )
    .option('--broker <ns/name>', 'the Broker that is there without any YAML (default: default/default)')
    .action(async (options: Omit<DevOptions, 'files' | 'memory'> & { file?: string[]; memory?: boolean }) => {
      const { file, memory = false, ...rest } = options
      if (memory && rest.data !== undefined) throw new Failure('wrongInput', '--memory and --data exclude each other')
      if ((rest.tlsCert === undefined) !== (rest.tlsKey === undefined))
        throw new Failure('wrongInput', '--tls-cert and --tls-key go together')
      const { runDev } = await import('../standalone/dev.ts')
      ended(await runDev({ ...rest, memory, files: pathsOf(file, 'dev') }))
    })
}

function addInit(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'init',
    'write a first Broker, Trigger and handler',
    `
  weir init              into this folder
  weir init hello        into a new one
`,
  )
    .argument('[dir]', 'folder, made where it is missing', '.')
    .action(async (dir: string) => {
      const { init } = await import('./init.ts')
      ended(await init(dir))
    })
}

function addSend(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'send',
    'send an event',
    `
  weir send order.created total:=42 customer=ada      data {"total": 42, "customer": "ada"}
  weir send order.created --data @order.json --wait   say what becomes of it; exit code 1 unless all have it
  weir send ping --count 1000 --rate 100 -a subject=load
  echo '{"total": 1}' | weir send order.created --data - --broker shop/orders
`,
  )
    .argument('<type>', 'attribute type of the event')
    .argument('[data...]', 'NAME=TEXT and NAME:=JSON, the fields of a JSON object; a.b=TEXT is a field within a')
    .option('--broker <ns/name>', 'Broker to send to', 'default/default')
    .option('--url <url>', 'full address to post to, instead of a Broker of the world that runs here')
    .option('--source <source>', 'attribute source', '/weir/send')
    .option('--id <id>', 'attribute id (default: a random one; with --count: ID-1, ID-2 …)')
    .option('-a, --attribute <name=value>', 'another attribute, as subject; may be repeated', collect)
    .option('--data <data>', 'data: text, @FILE, or - for standard input')
    .option('--count <n>', 'how many events', count, 1)
    .option('--rate <n>', 'at most so many a second', rate)
    .option('--wait', 'wait until every Trigger that wants it has it or gave up')
    .option('--timeout <seconds>', 'how long --wait waits', rate, 60)
    .addOption(new Option('-o, --output <format>', 'what to print').choices(['text', 'json']).default('text'))
    .option(...CONSOLE)
    .action(async (type: string, words: string[], options: SendOptions) => {
      const { send } = await import('./send.ts')
      ended(await send(type, words, options))
    })
}

function addGet(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'get',
    'list brokers, triggers, sources, sinks, scale or events',
    `
  weir get triggers
  weir get trigger orders -n shop -o yaml
  weir get events --limit 20
  weir get all --watch
`,
  )
    .argument('<kind>', 'brokers, triggers, sources, sinks, scale, events or all')
    .argument('[name]', 'only this one; of an event its id')
    .option('-n, --namespace <ns>', 'only this namespace')
    .option('-A, --all-namespaces', 'all namespaces (the default)')
    .addOption(
      new Option('-o, --output <format>', 'how to print')
        .choices(['table', 'wide', 'json', 'yaml', 'name'])
        .default('table'),
    )
    .option('-w, --watch', 'go on and show changes')
    .option('--limit <n>', 'the newest so many events', count, 100)
    .option(...CONSOLE)
    .action(async (kind: string, name: string | undefined, options: GetOptions) => {
      const { get } = await import('./get.ts')
      ended(await get(kind, name, options))
    })
}

function addTail(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'tail',
    'follow events and their deliveries',
    `
  weir tail
  weir tail --trigger orders --type 'order.*'
  weir tail -o json | jq .attributes.id
`,
  )
    .option('--trigger <name>', 'only deliveries to this Trigger, NAME or NAMESPACE/NAME')
    .option('--type <type>', 'only events of this type; * stands for anything')
    .option('--last <n>', 'events from before that are shown first', lastCount, 10)
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .option(...CONSOLE)
    .action(async (options: TailOptions) => {
      const { tail } = await import('./tail.ts')
      ended(await tail(options))
    })
}

function addValidate(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'validate',
    'check files without a cluster or a world',
    `
  weir validate events.yaml
  weir validate -f k8s/
  helm template chart | weir validate -
`,
  )
    .argument('[path...]', 'files and folders, - for standard input (default: events.yaml)')
    .option('-f, --file <path...>', 'the same')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      '\nExit code 2 and FILE:LINE:COLUMN: MESSAGE for every mistake; what is only odd is a notice.',
    )
    .action(async (paths: string[], options: { file?: string[]; output: 'text' | 'json' }) => {
      const { validate } = await import('./validate.ts')
      ended(await validate(pathsOf([...paths, ...(options.file ?? [])], 'validate'), options.output))
    })
}

function addToken(program: Command, ended: (code: number) => void): void {
  command(
    program,
    'token',
    'print a token that lets a sender in, where authentication-oidc is on',
    `
  weir token --audience eventing.knative.dev/broker/default/default
  curl -H "authorization: Bearer $(weir token --audience eventing.knative.dev/broker/shop/main)" …
`,
  )
    .requiredOption('--audience <audience>', 'whom it is for: eventing.knative.dev/broker/NAMESPACE/NAME')
    .option('--subject <subject>', 'as whom (default: system:serviceaccount:NAMESPACE:default)')
    .action(async (options: { audience: string; subject?: string }) => {
      const { printToken } = await import('./token.ts')
      ended(await printToken(options.audience, options.subject))
    })
}

function addVersion(program: Command, ended: (code: number) => void): void {
  command(program, 'version', 'show the version', '\n  weir version --json\n')
    .option('--json', 'as JSON')
    .action((options: { json?: boolean }) => ended(version(options.json === true)))
}

function command(program: Command, name: string, summary: string, examples: string): Command {
  const title = `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`
  return program
    .command(name)
    .summary(summary)
    .helpOption('-h, --help', 'show help')
    .addHelpText('before', `${title}\n\nExamples:${examples}`)
    .showHelpAfterError(`  try: weir ${name} --help`)
    .configureOutput(colouredErrors)
}

const colouredErrors = {
  outputError: (text: string, write: (text: string) => void) => write(paintFor(process.stderr)('bad', text)),
}

/** Files named, or the one that `weir init` writes. */
function pathsOf(named: readonly string[] | undefined, command: string): readonly string[] {
  if (named !== undefined && named.length > 0) return named
  if (existsSync('events.yaml')) return ['events.yaml']
  throw new Failure('wrongInput', `weir ${command} needs files: -f FILE|DIR`, 'weir init writes a first events.yaml')
}

function port(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) < 65_536) return Number(text)
  throw new InvalidArgumentError('It must be from 0 to 65535; 0 takes any that is free.')
}

/** More of them than this only wait for one another. */
const THREADS_MAX = 16

function threads(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) <= THREADS_MAX) return Number(text)
  throw new InvalidArgumentError(`It must be from 0 to ${THREADS_MAX}; with 0 the broker's own thread posts them.`)
}

function count(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('It must be a whole number above 0.')
}

function lastCount(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number.')
}

function rate(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value
  throw new InvalidArgumentError('It must be a number above 0.')
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}
