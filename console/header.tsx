import { age } from './format.ts'
import type { Connection } from './live.ts'

/** Who this is, and whether what is below still holds. */
export function Header({ connection, nowMs }: { readonly connection: Connection; readonly nowMs: number }) {
  return (
    <header>
      <h1>
        <Mark />
        Weir
      </h1>
      <p class={`connection ${connection.kind}`}>
        <span class="lamp" aria-hidden="true" />
        <span role="status">{stateWords(connection)}</span>
        <span class="muted">{ageWords(connection, nowMs)}</span>
      </p>
    </header>
  )
}

function stateWords(connection: Connection): string {
  switch (connection.kind) {
    case 'connecting':
      return 'Connecting'
    case 'live':
      return 'Live'
    case 'lost':
      return 'Weir stopped?'
    default:
      return connection satisfies never
  }
}

function ageWords(connection: Connection, nowMs: number): string {
  switch (connection.kind) {
    case 'connecting':
      return ''
    case 'live':
      return connection.updatedMs === undefined ? '' : `updated ${age(nowMs - connection.updatedMs)} ago`
    case 'lost':
      return `last seen ${age(nowMs - connection.seenMs)} ago, trying again`
    default:
      return connection satisfies never
  }
}

/** Water over a weir: three steps, one flow. */
function Mark() {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" class="mark">
      <path d="M2 6h8c3 0 2 6 5 6s2 6 7 6" />
      <path d="M2 11h5c3 0 2 6 5 6s2 3 4 3" />
    </svg>
  )
}
