import type { ComponentChildren } from 'preact'
import { visible } from './format.ts'

/** The head of a row: what it is called, and below that `children`, or why it is not ready. */
export function NameCell({
  row: { namespace, name, ready, reason },
  children,
}: {
  readonly row: {
    readonly namespace: string
    readonly name: string
    readonly ready: boolean
    readonly reason: string
  }
  readonly children: ComponentChildren
}) {
  return (
    <th scope="row" class="name">
      <span class="row-name">
        <span class="muted">{namespace}/</span>
        {name}
      </span>
      {ready ? (
        children
      ) : (
        <span class="below bad" title={reason}>
          Not ready: {visible(reason, 400)}
        </span>
      )}
    </th>
  )
}
