import { useRef, useState } from 'preact/hooks'

/** Text to paste elsewhere, with a button that copies it. */
export function Command({ text, label }: { readonly text: string; readonly label: string }) {
  const shown = useRef<HTMLElement>(null)
  const [said, setSaid] = useState('Copy')

  async function copy(): Promise<void> {
    try {
      // Undefined where the page came over plain HTTP from another machine (Clipboard API, secure contexts).
      await navigator.clipboard.writeText(text)
      setSaid('Copied')
    } catch {
      if (shown.current !== null) getSelection()?.selectAllChildren(shown.current)
      setSaid('Selected: now copy it')
    }
  }

  return (
    <figure class="command" aria-label={label}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so from the keyboard. */}
      <pre tabIndex={0}>
        <code ref={shown}>{text}</code>
      </pre>
      <button type="button" onClick={copy}>
        {said}
      </button>
    </figure>
  )
}
