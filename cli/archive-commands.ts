import { type Command, Option } from 'commander'
import type { DlqOptions } from './dlq.ts'
import type { EventOptions } from './event.ts'
import type { ReplayOptions } from './replay.ts'

/** How `program.ts` makes a command, and what several of them have in common. */
export interface CommandParts {
  readonly command: (program: Command, name: string, summary: string, examples: string) => Command
  readonly console: readonly [string, string]
  readonly count: (text: string) => number
  readonly rate: (text: string) => number
  readonly ended: (code: number) => void
}

/** The commands about what is kept: event, dlq, replay, pause, resume. */
export function addArchiveCommands(program: Command, parts: CommandParts): void {
  addEvent(program, parts)
  addDlq(program, parts)
  addReplay(program, parts)
  addPause(program, parts)
}

function addEvent(program: Command, { command, console, ended }: CommandParts): void {
  command(
    program,
    'event',
    'explain one event: who got it, who did not and why, every attempt',
    `
  weir event 6c3f2f7e-0d1b
  weir event 4711 -o json
`,
  )
    .argument('<key>', 'seq or id of the event')
    .option('--broker <ns/name>', 'only of this Broker')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .option(...console)
    .action(async (key: string, options: EventOptions) => {
      const { event } = await import('./event.ts')
      ended(await event(key, options))
    })
}

function addDlq(program: Command, parts: CommandParts): void {
  const { command, console, count, rate, ended } = parts
  const dlq = command(
    program,
    'dlq',
    'parked events and dead letters: list, redrive, discard, export',
    `
  weir dlq orders                            what is parked for Trigger default/orders, and why
  weir dlq list shop/orders --text timeout   only where the failure says so
  weir dlq redrive orders 4711 4712          try these again
  weir dlq redrive orders --all --rate 10    all of them, ten a second
  weir dlq discard orders 4711 --yes         give it up
  weir dlq export orders > parked.ndjson     one CloudEvent a line
`,
  )
  const state = () => {
    return new Option('--state <state>', 'which').choices(['parked', 'dead-lettered', 'retrying']).default('parked')
  }
  const chosen = (name: string, summary: string) =>
    dlq
      .command(name, { isDefault: name === 'list' })
      .summary(summary)
      .description(summary)
      .helpOption('-h, --help', 'show help')
      .argument('<trigger>', 'NAME or NAMESPACE/NAME')
      .addOption(state())
      .option('--type <type>', 'only of this type')
      .option('--source <source>', 'only from this source')
      .option('--id <id>', 'only with this id')
      .option('--text <text>', 'only where the failure or an attempt says this')
      .option(...console)
  dlq.addHelpText('after', '\nWithout a word more, weir dlq TRIGGER lists.')
  chosen('list', 'list them, oldest first')
    .option('--limit <n>', 'so many', count, 100)
    .addOption(
      new Option('-o, --output <format>', 'how to print')
        .choices(['table', 'wide', 'json', 'yaml', 'name'])
        .default('table'),
    )
    .action(async (trigger: string, options: DlqOptions) => {
      const { listOwed } = await import('./dlq.ts')
      ended(await listOwed(trigger, options))
    })
  chosen('redrive', 'try them again, from their first attempt')
    .argument('[seq...]', 'these; the numbers of the list')
    .option('--all', 'all that the options describe')
    .option('--rate <n>', 'so many a second', rate)
    .action(async (trigger: string, seqs: string[], options: DlqOptions) => {
      const { redrive } = await import('./dlq.ts')
      ended(await redrive(trigger, seqs, options))
    })
  chosen('discard', 'give parked events up')
    .argument('[seq...]', 'these; the numbers of the list')
    .option('--all', 'all that the options describe')
    .option('--yes', 'do not ask')
    .action(async (trigger: string, seqs: string[], options: DlqOptions) => {
      const { discard } = await import('./dlq.ts')
      ended(await discard(trigger, seqs, options))
    })
  chosen('export', 'print them, a structured CloudEvent a line').action(
    async (trigger: string, options: DlqOptions) => {
      const { exportOwed } = await import('./dlq.ts')
      ended(await exportOwed(trigger, options))
    },
  )
}

function addReplay(program: Command, { command, console, rate, ended }: CommandParts): void {
  command(
    program,
    'replay',
    'send kept events again, to one Trigger or to an address',
    `
  weir replay --from 1h --to-trigger orders --dry-run      how many there are
  weir replay --from 2026-01-31T08:00:00Z --to 2026-01-31T09:00:00Z --to-trigger orders --rate 50
  weir replay --from seq:4711 --to-url http://127.0.0.1:3000/ --type order.created
`,
  )
    .requiredOption('--from <when>', 'accepted since: a time, an age (15m, 2h, 1d), or seq:N')
    .option('--to <when>', 'accepted before; or up to seq:N')
    .option('--to-trigger <trigger>', 'NAME or NAMESPACE/NAME: those that its filters let pass')
    .option('--to-url <url>', 'post them there, in order; stops at the first refusal')
    .option('--broker <ns/name>', 'with --to-url: whose events', 'default/default')
    .option('--type <type>', 'only of this type')
    .option('--source <source>', 'only from this source')
    .option('--rate <n>', 'so many a second', rate)
    .option('--dry-run', 'only count')
    .option(...console)
    .action(async (options: ReplayOptions) => {
      const { replay } = await import('./replay.ts')
      ended(await replay(options))
    })
}

function addPause(program: Command, { command, console, ended }: CommandParts): void {
  for (const action of ['pause', 'resume'] as const) {
    const summary = action === 'pause' ? 'let the events of a Trigger wait' : 'let a paused Trigger go on'
    command(program, action, summary, `\n  weir ${action} orders\n`)
      .argument('<trigger>', 'NAME or NAMESPACE/NAME')
      .option(...console)
      .action(async (trigger: string, options: { console?: string }) => {
        const { pause } = await import('./pause.ts')
        ended(await pause(trigger, action, options))
      })
  }
}
