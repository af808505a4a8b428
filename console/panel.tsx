import type { ComponentChildren } from 'preact'

interface PanelProps {
  readonly title: string
  /** Beside the title: how many there are. */
  readonly note: string
  readonly tools?: ComponentChildren
  readonly children: ComponentChildren
}

/** One titled part of the page. */
export function Panel({ title, note, tools, children }: PanelProps) {
  const id = `title-${title.toLowerCase().replaceAll(' ', '-')}`
  return (
    <section class="panel" aria-labelledby={id}>
      <div class="title">
        <h2 id={id}>{title}</h2>
        <span class="muted">{note}</span>
        <div class="tools">{tools}</div>
      </div>
      {children}
    </section>
  )
}
