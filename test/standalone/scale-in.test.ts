import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TriggerView } from '../../contract/api.ts'
import { BROKER_YAML, gotBy, pidsOf, post, startDev, triggerYaml } from './dev-process.ts'
import { eventually, tempFolder } from './local.ts'

/** Works for a while on each event, and says so when it is told to end in the middle of one. */
const SLOW = `import { createServer } from 'node:http'
let open = 0
process.on('SIGTERM', () => {
  if (open > 0) console.log('SIGNALLED WHILE BUSY', open)
  process.exit()
})
createServer((request, response) => {
  open++
  request.resume().on('end', () => setTimeout(() => {
    response.writeHead(204).end(() => { open-- })
    console.log('got', request.headers['ce-id'], 'pid', process.pid)
  }, 150))
}).listen(process.env.PORT)
`

test('scale-in under load: no replica is told to end while a request is open, and each event is delivered once', async t => {
  const cwd = tempFolder(t)
  const yaml = BROKER_YAML + triggerYaml('slow', 'handler.mjs', { scale: true })
  writeFileSync(join(cwd, 'my.yaml'), yaml)
  writeFileSync(join(cwd, 'handler.mjs'), SLOW)
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  const trigger = async () => {
    const [found] = (await (await fetch(`${dev.console}/api/v1/triggers`)).json()) as TriggerView[]
    return found ?? assert.fail('there is a Trigger')
  }
  let sent = 0
  const send = async (count: number) => {
    for (const until = sent + count; sent < until; ) {
      assert.equal(await post(`${dev.ingress}/default/default`, sent++), 202)
    }
  }
  await eventually(
    'all four work',
    async () => {
      if ((await trigger()).backlog < 200) await send(20)
      return pidsOf(dev.text(), 'slow').length === 4
    },
    30_000,
  )
  writeFileSync(join(cwd, 'my.yaml'), yaml.replace('max-scale: "4"', 'max-scale: "1"'))
  await eventually('one is asked for', async () => {
    if ((await trigger()).backlog < 200) await send(20)
    return (await trigger()).replicas?.desired === 1
  })
  await send(50)
  await eventually('all are delivered', () => gotBy(dev.text(), 'slow').length >= sent, 30_000)
  const all = Array.from({ length: sent }, (_, id) => String(id))
  assert.deepEqual(gotBy(dev.text(), 'slow').sort(), all.sort())
  assert.doesNotMatch(dev.text(), /SIGNALLED WHILE BUSY/)
  dev.child.kill('SIGINT')
  assert.equal(await dev.code, 0)
  assert.doesNotMatch(dev.text(), /SIGNALLED WHILE BUSY/)
})
