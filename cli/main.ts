import { CommanderError } from 'commander'
import { EXIT, Failure } from './failure.ts'
import { weirProgram } from './program.ts'
import { paintFor } from './style.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(words: readonly string[]): Promise<number> {
  // A reader that has seen enough (`weir get events | head`) is no error. A world that runs has no end for that.
  if (words[0] !== 'dev') process.stdout.on('error', () => process.exit(EXIT.done))
  let code: number = EXIT.done
  const program = weirProgram(ended => {
    code = ended
  })
  if (words.length === 0) {
    program.outputHelp()
    return EXIT.done
  }
  try {
    await program.parseAsync(words, { from: 'user' })
    return code
  } catch (error) {
    return told(error)
  }
}

/** Says what went wrong, once, and gives the exit code for it. */
function told(error: unknown): number {
  // Commander has written its own words already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.wrongInput
  const paint = paintFor(process.stderr)
  if (error instanceof Failure) {
    process.stderr.write(`${paint('bad', `error: ${error.message}`)}\n`)
    if (error.advice !== undefined) process.stderr.write(`  try: ${error.advice}\n`)
    return EXIT[error.code]
  }
  const words = error instanceof Error ? (error.stack ?? error.message) : String(error)
  process.stderr.write(`${paint('bad', 'error: this is a defect of weir')}\n${words}\n`)
  return EXIT.failed
}
