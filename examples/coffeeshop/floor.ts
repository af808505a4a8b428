import type { Told } from '../../standalone/told.ts'
import type { Line } from './tally.ts'

/** What the processes of the Broker's side say, and what is done to them. */
export class Floor {
  readonly lines: Line[] = []
  most = 0
  killed = 0
  #wantsToKill = false
  readonly #say: (text: string) => void

  constructor(say: (text: string) => void) {
    this.#say = say
  }

  hear(told: Told): void {
    if (told.kind === 'warning') this.#say(`! ${told.text}`)
    if (told.kind !== 'output') return
    const [first = '', second = '', third = ''] = told.line.split(' ')
    if (first === 'coffee.brewed' || first === 'coffee.cancelled')
      this.lines.push({ type: first, order: second, customer: third })
    if (second === 'brews' && this.#wantsToKill) {
      this.#wantsToKill = false
      this.killed++
      this.#say(`✗ the barista that brews order ${third} for the Broker is killed`)
      process.kill(Number(first), 'SIGKILL')
    }
  }

  /** The next barista that begins a coffee does not finish it. */
  killNext(): void {
    this.#wantsToKill = true
  }

  count(ready: number): void {
    this.most = Math.max(this.most, ready)
  }
}
