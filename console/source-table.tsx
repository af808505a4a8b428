import type { SourceView } from '../contract/api.ts'
import { count, rate } from './format.ts'
import { NameCell } from './name-cell.tsx'
import { Panel } from './panel.tsx'
import { Replicas } from './replicas.tsx'
import { keyOf } from './state.ts'

export function SourceTable({ sources }: { readonly sources: readonly SourceView[] }) {
  if (sources.length === 0) {
    return (
      <Panel title="Sources" note="none">
        <p class="empty">
          A source takes messages from a queue and emits them as events. Without one, events come by <code>POST</code>{' '}
          to a Broker.
        </p>
      </Panel>
    )
  }
  return (
    <Panel title="Sources" note={count(sources.length)}>
      <div class="scroll">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col" class="number">
                Lag
              </th>
              <th scope="col" class="number">
                Held
              </th>
              <th scope="col" class="number">
                Emitted
              </th>
              <th scope="col" class="number">
                Rate
              </th>
              <th scope="col">Replicas</th>
            </tr>
          </thead>
          <tbody>
            {sources.map(source => (
              <Row key={keyOf(source)} source={source} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function Row({ source }: { readonly source: SourceView }) {
  const { kind, lag, held, emitted, replicas } = source
  return (
    <tr>
      <NameCell row={source}>
        <span class="below">{kind}</span>
      </NameCell>
      <td
        data-label="Lag"
        class={lag === null ? 'warn' : lag > 0 ? 'lit' : 'nil'}
        title={lag === null ? 'Not known yet' : undefined}
      >
        {count(lag)}
      </td>
      <td data-label="Held" class={held > 0 ? '' : 'nil'}>
        {count(held)}
      </td>
      <td data-label="Emitted">{count(emitted)}</td>
      <td data-label="Rate" class={source.rate > 0 ? '' : 'nil'}>
        {rate(source.rate)}/s
      </td>
      <td class="replicas" data-label="Replicas">
        <Replicas replicas={replicas} />
      </td>
    </tr>
  )
}
