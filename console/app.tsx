import { BrokerTable } from './broker-table.tsx'
import { EventTable } from './event-table.tsx'
import { Flow } from './flow.tsx'
import { Header } from './header.tsx'
import type { Picture } from './live.ts'
import { ScaleList } from './scale-list.tsx'
import { SinkTable } from './sink-table.tsx'
import { SourceTable } from './source-table.tsx'
import { TriggerTable } from './trigger-table.tsx'

/** The whole page: a pure function of what Weir said and of what time it is. */
export function App({ picture, nowMs }: { readonly picture: Picture; readonly nowMs: number }) {
  const { state, connection, events, backlogs, trouble } = picture
  return (
    <>
      <Header connection={connection} nowMs={nowMs} />
      {trouble !== undefined && (
        <p class="trouble" role="alert">
          {trouble} Reload this page if Weir was updated.
        </p>
      )}
      {state === undefined ? (
        <p class="hello">Waiting for the first word from Weir…</p>
      ) : (
        <main class={connection.kind === 'live' ? '' : 'stale'}>
          <Flow state={state} />
          <TriggerTable triggers={state.triggers} backlogs={backlogs} broker={state.brokers[0]?.name ?? 'default'} />
          <div class="pair">
            <SourceTable sources={state.sources} />
            <BrokerTable brokers={state.brokers} />
          </div>
          <SinkTable sinks={state.sinks} />
          <ScaleList scale={state.scale} />
          <EventTable events={events} brokers={state.brokers} live={connection.kind === 'live'} />
        </main>
      )}
    </>
  )
}
