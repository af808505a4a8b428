import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { buildConsole } from '../../console/build.ts'
import type { EventDetailView, EventView, StateView } from '../../contract/api.ts'
import type { Route } from '../../runtime/status-server.ts'
import { findChromium, openTab, type Tab } from './chromium.ts'
import { type FakeWeir, openFakeWeir } from './fake-weir.ts'
import { broker, delivery, event, scale, source, trigger, world } from './scenery.ts'

const BUDGET_BYTES = 40_000
const ROWS = '.events tbody'

let dist = ''
let chromium: string | undefined

before(async () => {
  dist = await mkdtemp(join(tmpdir(), 'weir-console-'))
  await buildConsole(dist)
  chromium = await findChromium()
  if (chromium !== undefined || process.env.WEIR_REQUIRE_SERVERS !== '1') return
  const installed = spawnSync('sh', [join(import.meta.dirname, 'install-chromium.sh')], { encoding: 'utf8' })
  chromium = await findChromium()
  assert.ok(chromium, `WEIR_REQUIRE_SERVERS=1, and there is no Chromium: ${installed.stderr}`)
})
after(() => rm(dist, { recursive: true, force: true }))

test('the page is small: all of it, gzipped, within its budget', async () => {
  let total = 0
  for (const name of await readdir(dist)) total += gzipSync(await readFile(join(dist, name))).length
  assert.ok(total < BUDGET_BYTES, `${total} bytes`)
})

test('nothing is inline and nothing comes from elsewhere', async () => {
  const html = await readFile(join(dist, 'index.html'), 'utf8')
  assert.doesNotMatch(html, /<style|\sstyle=|\son\w+=|javascript:|data:|https?:/i)
  for (const [, attributes, body] of html.matchAll(/<script([^>]*)>(.*?)<\/script>/gs)) {
    assert.match(attributes ?? '', /src="app\.js"/)
    assert.equal(body, '')
  }
  const css = await readFile(join(dist, 'app.css'), 'utf8')
  assert.doesNotMatch(css, /@import|url\(/)
  const script = await readFile(join(dist, 'app.js'), 'utf8')
  assert.doesNotMatch(script, /\beval\(|new Function\(/)
})

/** Runs `body` with a page that is open on a Weir which says `state` and `events`. */
function pageTest(
  name: string,
  state: StateView,
  events: readonly EventView[],
  body: (tab: Tab, weir: FakeWeir) => Promise<void>,
) {
  test(name, async t => {
    if (chromium === undefined) {
      t.diagnostic('SKIPPED: no Chromium on the PATH; test/console/install-chromium.sh installs it')
      return t.skip('no Chromium')
    }
    await using weir = await openFakeWeir(dist, state, events)
    await using tab = await openTab(chromium, weir.url, { width: 1300, height: 900, scheme: 'light' })
    await tab.until(`document.querySelector('main') !== null`)
    await body(tab, weir)
  })
}

const hostile = [
  '<img src=x onerror="document.title=\'owned\'">',
  '</script><script>document.title="owned"</script>',
  '"><svg onload=document.title="owned">',
  'javascript:document.title="owned"',
  '{{constructor.constructor("document.title=1")()}}',
  '<style>*{display:none}</style>',
  '../../x',
  '__proto__',
  '=cmd|calc',
  '\u202egpj.exe',
]

const hostileEvents = hostile.map((text, at) =>
  event(at + 1, {
    attributes: { specversion: '1.0', id: text, type: text, source: text, subject: text, [`x${at}`]: text },
    deliveries: [delivery({ trigger: text, state: 'parked', last: text, attempts: 2 })],
  }),
)
const hostileState = world({
  triggers: hostile.map((text, at) =>
    trigger({ name: `t-${at}`, subscriber: text, ready: false, reason: text, lastError: text, notice: text }),
  ),
  sources: hostile.map((text, at) => source({ name: `s-${at}`, kind: text, ready: false, reason: text })),
  scale: hostile.map((text, at) => scale({ name: `d-${at}`, by: text, explain: text })),
})

pageTest(
  'what strangers wrote is text, opened or not, and breaks no rule of the policy',
  hostileState,
  hostileEvents,
  async tab => {
    await tab.until(`document.querySelectorAll('${ROWS}').length === ${hostile.length}`)
    for (let row = 0; row < hostile.length; row++) {
      await tab.evaluate(`document.querySelectorAll('${ROWS} button')[${row}].click()`)
      await tab.until(`document.querySelectorAll('${ROWS}')[${row}].matches('.open')`)
      const type = await tab.evaluate(`document.querySelectorAll('${ROWS} .type')[${row}].textContent`)
      const told = hostile[hostile.length - 1 - row] ?? ''
      assert.equal(type, told.replace('\u202e', '⟨202E⟩'))
    }
    const foreign = `document.querySelectorAll('img, iframe, style, a, body script, [onerror], [onload], [style]').length`
    assert.equal(await tab.evaluate(foreign), 0)
    assert.equal(await tab.evaluate('document.title'), 'Weir')
    assert.deepEqual(tab.problems, [])
  },
)

pageTest('an attribute of a megabyte neither hangs nor stretches the page', world(), [], async (tab, weir) => {
  const long = 'x'.repeat(1_000_000)
  weir.add([event(1, { attributes: { id: long, type: long, source: long, specversion: '1.0' } })])
  await tab.until(`document.querySelectorAll('${ROWS}').length === 1`)
  await tab.evaluate(`document.querySelector('${ROWS} button').click()`)
  await tab.until(`document.querySelector('.detail') !== null`)
  assert.equal(await tab.evaluate('document.documentElement.scrollWidth <= innerWidth'), true)
  assert.ok(Number(await tab.evaluate('document.body.textContent.length')) < 20_000)
})

pageTest(
  'an empty Weir teaches how to send the first event, to its own address',
  world({ brokers: [broker({ url: 'http://127.0.0.1:18080/a/b' })] }),
  [],
  async (tab, weir) => {
    await tab.until(`document.body.innerText.includes("curl -i 'http://127.0.0.1:18080/a/b'")`)
    weir.add([event(1, { deliveries: [] })])
    await tab.until(`document.querySelector('.chip')?.textContent === 'no Trigger matched'`)
    weir.add([event(1, { deliveries: [delivery({ state: 'retrying', attempts: 3, last: '503' })] })])
    await tab.until(`document.querySelector('.chip')?.textContent.includes('worker×3503')`)
    assert.equal(await tab.evaluate(`document.querySelectorAll('${ROWS}').length`), 1)
  },
)

pageTest('an unknown lag is a question mark', world({ sources: [source({ lag: null })] }), [], async tab => {
  assert.equal(await tab.evaluate(`document.querySelector('[data-label=Lag]').textContent`), '?')
})

pageTest(
  'from the keyboard: slash filters, Escape ends it, p pauses, Enter opens and holds the list still',
  world(),
  [event(1), event(2)],
  async (tab, weir) => {
    await tab.until(`document.querySelectorAll('${ROWS}').length === 2`)
    await tab.press('/')
    for (const key of 'id:e-2') await tab.press(key)
    await tab.until(`document.querySelectorAll('${ROWS}').length === 1`)
    assert.equal(await tab.evaluate('location.hash'), '#events=id%3Ae-2')
    await tab.press('Escape')
    await tab.until(`document.querySelectorAll('${ROWS}').length === 2 && location.hash === ''`)

    await tab.press('p')
    await tab.until(`document.querySelector('[aria-pressed=true][title="Key: p"]') !== null`)
    weir.add([event(3)])
    await tab.until(`document.body.innerText.includes('Paused, 1 new')`)
    assert.equal(await tab.evaluate(`document.querySelectorAll('${ROWS}').length`), 2)
    await tab.press('p')
    await tab.until(`document.querySelectorAll('${ROWS}').length === 3`)

    await tab.evaluate(`document.querySelector('${ROWS} button').focus()`)
    await tab.press('Enter')
    await tab.until(`document.querySelector('.detail')?.textContent.includes('e-3')`)

    weir.add([event(4), event(3, { deliveries: [delivery({ state: 'parked', attempts: 9 })] })])
    await tab.until(`document.querySelector('.detail').textContent.includes('parked, 9 attempts')`)
    assert.equal(await tab.evaluate(`document.querySelectorAll('${ROWS}').length`), 3)
    await tab.press('Enter')
    await tab.until(`document.querySelectorAll('${ROWS}').length === 4`)
  },
)

pageTest(
  'a Weir that stops is said so, and what it said last stays',
  world({ triggers: [trigger({ backlog: 7 })] }),
  [],
  async (tab, weir) => {
    await tab.until(`document.querySelector('[role=status]').textContent === 'Live'`)
    await weir[Symbol.asyncDispose]()
    await tab.until(`document.querySelector('header').innerText.includes('Weir stopped?')`)
    await tab.until(`/last seen \\d+ s ago/.test(document.querySelector('header').innerText)`)
    assert.equal(await tab.evaluate(`document.querySelector('td.backlog > span').textContent`), '7')
    assert.equal(await tab.evaluate('document.title'), 'Weir stopped?')
  },
)

const thousand = Array.from({ length: 1000 }, (_, at) => trigger({ name: `t-${at}`, backlog: at % 10 === 0 ? 5 : 0 }))

pageTest(
  'a thousand Triggers are listed in part, found by name, and all shown when asked for',
  world({ triggers: thousand }),
  [],
  async (tab, weir) => {
    const rows = `document.querySelectorAll('.triggers tbody tr').length`
    await tab.until(`${rows} === 100`)
    await tab.evaluate(`[...document.querySelectorAll('button')].find(b => b.textContent === 'Active 100').click()`)
    await tab.until(`${rows} === 100 && !document.body.innerText.includes('Show all')`)
    await tab.evaluate(`[...document.querySelectorAll('button')].find(b => b.textContent === 'All').click()`)
    await tab.evaluate(
      `[...document.querySelectorAll('button')].find(b => b.textContent.startsWith('Show all')).click()`,
    )
    await tab.until(`${rows} === 1000`)
    await tab.evaluate(`window.first = document.querySelectorAll('.triggers tbody tr')[500]; 0`)
    weir.tell(world({ triggers: thousand.map((one, at) => (at === 500 ? { ...one, backlog: 77 } : one)) }))
    await tab.until(`window.first.querySelector('td.backlog > span').textContent === '77'`)
  },
)

const parkedEvent = (seq: number) => ({
  ...{ seq, acceptedMs: 1_764_000_000_000, bytes: 2, damaged: false, event: null },
  attributes: { specversion: '1.0', id: `e-${seq}`, source: '/s', type: '<b>order</b>' },
  delivery: {
    ...{ trigger: 'worker', state: 'parked', nextDueMs: null, attempts: [] },
    failure: { destination: 'http://x', code: 422, data: '<i>no stock</i>' },
  },
})

test('parked events are shown, redriven and discarded from the page, and a Trigger is paused', async t => {
  if (chromium === undefined) return t.skip('no Chromium')
  const asked: unknown[] = []
  const answer = (value: unknown) => async (request: { readonly body: unknown }) => {
    asked.push(request.body)
    return { kind: 'json', value } as const
  }
  const path = '/api/v1/triggers/:namespace/:name'
  const routes = [
    {
      method: 'GET',
      path: `${path}/parked`,
      handle: async () => ({ kind: 'json', value: { events: [1, 2].map(parkedEvent), next: null } }),
    },
    { method: 'POST', path: `${path}/redrive`, handle: answer({ events: 1 }) },
    { method: 'POST', path: `${path}/discard`, handle: answer({ events: 2 }) },
    { method: 'POST', path: `${path}/pause`, handle: answer({ paused: true, kept: false }) },
  ] as const satisfies readonly Route[]
  await using weir = await openFakeWeir(dist, world({ triggers: [trigger({ name: 'worker', parked: 2 })] }), [], routes)
  await using tab = await openTab(chromium, weir.url, { width: 1300, height: 900, scheme: 'light' })
  await tab.until(`document.querySelector('[aria-label="2 parked for worker"]') !== null`)
  await tab.evaluate(`document.querySelector('[aria-label="2 parked for worker"]').click()`)
  await tab.until(`document.querySelectorAll('.parked-list li').length === 2`)
  assert.match(
    String(await tab.evaluate(`document.querySelector('.parked-list li').textContent`)),
    /<b>order<\/b>.*e-1.*422 <i>no stock/,
  )
  const press = (words: string) =>
    tab.evaluate(`[...document.querySelectorAll('button')].find(one => one.textContent.startsWith('${words}')).click()`)
  await tab.evaluate(`document.querySelector('.parked-list input').click()`)
  await tab.until(`document.querySelector('.parked-list button').textContent === 'Redrive 1 event'`)
  await press('Redrive')
  await tab.until(`document.querySelector('.parked-list [role=status]').textContent === '1 event due again'`)
  await tab.evaluate('window.confirm = () => true')
  await press('Discard')
  await tab.until(`document.querySelector('.parked-list [role=status]').textContent === '2 events given up'`)
  await tab.evaluate(`document.querySelector('[aria-label="pause worker"]').click()`)
  weir.tell(world({ triggers: [trigger({ name: 'worker', parked: 2, stopped: 'pause' })] }))
  await tab.until(
    `document.querySelector('[aria-label="resume worker"]') !== null && document.body.innerText.includes('Paused')`,
  )
  assert.deepEqual(asked, [{ seqs: [1] }, { seqs: [1, 2] }, {}])
  assert.deepEqual(tab.problems, [])
})

test('an opened event shows its data, its attempts, and which clause kept it from whom', async t => {
  if (chromium === undefined) return t.skip('no Chromium')
  const detail: EventDetailView = {
    ...{ seq: 1, acceptedMs: 1_764_000_000_000, attributes: {}, bytes: 9, damaged: false, event: null },
    ...{ namespace: 'default', broker: 'default' },
    data: { text: '{"n":"<b>"}', encoding: 'text', truncated: false },
    deliveries: [
      {
        ...{ trigger: 'worker', state: 'parked', nextDueMs: null, failure: null },
        attempts: [
          {
            ...{ stage: 'subscriber', number: 1, atMs: 1_764_000_000_000, tookMs: 12, status: 503, words: 'busy' },
            followed: 'again',
          },
        ],
      },
    ],
    unmatched: [{ trigger: 'audit', matchesNow: false, clause: 'spec.filters[0].exact.type', words: 'type is `a`' }],
  }
  const handle = async () => ({ kind: 'json', value: detail }) as const
  const routes: readonly Route[] = [{ method: 'GET', path: '/api/v1/events/:key', handle }]
  await using weir = await openFakeWeir(dist, world({}), [event(1)], routes)
  await using tab = await openTab(chromium, weir.url, { width: 1300, height: 900, scheme: 'light' })
  await tab.until(`document.querySelectorAll('${ROWS}').length === 1`)
  await tab.evaluate(`document.querySelector('${ROWS} button').click()`)
  await tab.until(`document.querySelector('.known') !== null`)
  const text = String(await tab.evaluate(`document.querySelector('.known').innerText`))
  for (const words of ['{"n":"<b>"}', '503 busy in 12', 'audit', 'spec.filters[0].exact.type'])
    assert.ok(text.includes(words), text)
  assert.deepEqual(tab.problems, [])
})
