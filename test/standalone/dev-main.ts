// `weir dev` without the command line around it: node dev-main.ts [--port N] [--console-port N] [--data DIR] FILE…
import { parseArgs } from 'node:util'
import { runDev } from '../../standalone/dev.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string' },
    'console-port': { type: 'string' },
    data: { type: 'string' },
    memory: { type: 'boolean', default: false },
  },
})

const asNumber = (text: string | undefined) => (text === undefined ? undefined : Number(text))

process.exitCode = await runDev({
  files: positionals,
  port: asNumber(values.port),
  consolePort: asNumber(values['console-port']),
  data: values.data,
  memory: values.memory,
})
