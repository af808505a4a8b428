import type { SinkView } from '../contract/api.ts'
import { count, visible } from './format.ts'
import { NameCell } from './name-cell.tsx'
import { Panel } from './panel.tsx'
import { keyOf } from './state.ts'

/** The ways out to other systems. Most worlds have none, and then the page says nothing of them. */
export function SinkTable({ sinks }: { readonly sinks: readonly SinkView[] }) {
  if (sinks.length === 0) return null
  return (
    <Panel title="Sinks" note={count(sinks.length)}>
      <div class="scroll">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">Sink</th>
              <th scope="col" class="number">
                Sent
              </th>
              <th scope="col">Trouble</th>
            </tr>
          </thead>
          <tbody>
            {sinks.map(sink => (
              <Row key={keyOf(sink)} sink={sink} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function Row({ sink }: { readonly sink: SinkView }) {
  const { kind, sent, trouble } = sink
  return (
    <tr>
      <NameCell row={sink}>
        <span class="below">{kind}</span>
      </NameCell>
      <td data-label="Sent">{count(sent)}</td>
      <td data-label="Trouble" class={trouble === null ? 'nil' : 'warn'}>
        {trouble === null ? '–' : visible(trouble, 200)}
      </td>
    </tr>
  )
}
