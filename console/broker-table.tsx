import type { BrokerView } from '../contract/api.ts'
import { count } from './format.ts'
import { NameCell } from './name-cell.tsx'
import { Panel } from './panel.tsx'
import { keyOf } from './state.ts'

export function BrokerTable({ brokers }: { readonly brokers: readonly BrokerView[] }) {
  if (brokers.length === 0) {
    return (
      <Panel title="Brokers" note="none">
        <p class="empty">Events have nowhere to go: apply a Broker first.</p>
      </Panel>
    )
  }
  return (
    <Panel title="Brokers" note={count(brokers.length)}>
      <div class="scroll">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">Broker</th>
              <th scope="col" class="number">
                Triggers
              </th>
              <th scope="col" class="number">
                Accepted
              </th>
              <th scope="col" class="number">
                Unmatched
              </th>
            </tr>
          </thead>
          <tbody>
            {brokers.map(broker => (
              <Row key={keyOf(broker)} broker={broker} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

function Row({ broker }: { readonly broker: BrokerView }) {
  const { url, triggers, accepted, unmatched } = broker
  return (
    <tr>
      <NameCell row={broker}>
        <span class="below url">{url}</span>
      </NameCell>
      <td data-label="Triggers">{count(triggers)}</td>
      <td data-label="Accepted">{count(accepted)}</td>
      <td data-label="Unmatched" class={unmatched > 0 ? 'warn' : 'nil'}>
        {count(unmatched)}
      </td>
    </tr>
  )
}
