import { render } from 'preact'
import { App } from './app.tsx'
import { pageClock, pageWire } from './browser.ts'
import { Live } from './live.ts'
import { titleOf } from './totals.ts'

const page = document.getElementById('app')
if (page === null) throw new Error('index.html has no element #app.')

// Weir may speak many times between two frames; and a tab in the background draws nothing at all.
let asked = false
function draw(): void {
  if (asked) return
  asked = true
  requestAnimationFrame(() => {
    asked = false
    if (page === null) return
    document.title = titleOf(live.picture)
    render(<App picture={live.picture} nowMs={pageClock.monotonicMs()} />, page)
  })
}

page.replaceChildren()
const live = new Live(pageWire, pageClock, draw)
// A page that the browser put aside (HTML, back/forward cache) has a dead stream when it comes back.
addEventListener('pageshow', event => event.persisted && location.reload())
draw()
