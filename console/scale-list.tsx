import type { ScaleView } from '../contract/api.ts'
import { instant, plural, timeOfDay, visible } from './format.ts'
import { Panel } from './panel.tsx'
import { Replicas } from './replicas.tsx'
import { keyOf } from './state.ts'

/** Why there are as many replicas as there are: the last decision about each, in words. */
export function ScaleList({ scale }: { readonly scale: readonly ScaleView[] }) {
  if (scale.length === 0) {
    return (
      <Panel title="Scaling" note="nothing is scaled">
        <p class="empty">
          A Deployment behind a Trigger scales with its backlog, to zero and back, once the Trigger carries the
          annotation <code>autoscaling.eventing.knative.dev/max-scale</code> or a ScaledObject names it.
        </p>
      </Panel>
    )
  }
  return (
    <Panel title="Scaling" note={plural(scale.length, 'target')}>
      <ul class="scale">
        {scale.map(target => (
          <Row key={keyOf(target)} target={target} />
        ))}
      </ul>
    </Panel>
  )
}

function Row({ target }: { readonly target: ScaleView }) {
  const { namespace, name, kind, by, replicas, explain, changedMs } = target
  return (
    <li>
      <div class="name">
        <span class="row-name">
          <span class="muted">{namespace}/</span>
          {name}
        </span>
        <span class="below">
          {kind}
          {by !== `${kind}/${name}` && `, scaled by ${by}`}
        </span>
      </div>
      <div>
        <Replicas replicas={replicas} />
        <span class="below">
          {replicas.min} at least
          {changedMs !== null && (
            <>
              , changed at <time title={instant(changedMs)}>{timeOfDay(changedMs).slice(0, 8)}</time>
            </>
          )}
        </span>
      </div>
      <p class="explain">{visible(explain, 1000)}</p>
    </li>
  )
}
