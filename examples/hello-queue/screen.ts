/** A terminal, or a pipe. */
export interface Screen {
  /** A line that stays. */
  line(text: string): void
  /** What is below the lines from now on; it is drawn over at the next call. On a pipe nothing is ever drawn over. */
  table(lines: readonly string[]): void
  readonly isTerminal: boolean
  readonly width: number
}

/** Draws in place on a terminal; on a pipe only lines come out. */
export function openScreen(stream: NodeJS.WriteStream): Screen {
  let drawn: readonly string[] = []
  const erase = () => (drawn.length > 0 ? `\x1b[${drawn.length}A\x1b[J` : '')
  const text = (lines: readonly string[]) => lines.map(line => `${line}\n`).join('')
  // `npm start | head` closes the pipe early; the demo then has nobody to talk to, which is no failure.
  stream.on('error', () => {})
  return {
    isTerminal: stream.isTTY === true,
    get width() {
      return stream.columns ?? 100
    },
    line(line) {
      stream.write(erase() + text([line]) + text(drawn))
    },
    table(lines) {
      stream.write(erase() + text(lines))
      drawn = lines
    },
  }
}
