import { type Fields, present, type Shape, type Value } from './reader.ts'
import type { Container, EnvVar } from './workloads.ts'

const CONTAINER: Shape<'name' | 'image' | 'command' | 'args' | 'env' | 'readinessProbe' | 'envFrom'> = {
  known: ['name', 'image', 'command', 'args', 'env', 'readinessProbe', 'envFrom'],
  silent: [
    'imagePullPolicy',
    'lifecycle',
    'livenessProbe',
    'ports',
    'resizePolicy',
    'resources',
    'restartPolicy',
    'securityContext',
    'startupProbe',
    'stdin',
    'stdinOnce',
    'terminationMessagePath',
    'terminationMessagePolicy',
    'tty',
    'volumeDevices',
    'volumeMounts',
    'workingDir',
  ],
  lenient: true,
}

const PROBE: Shape<'httpGet'> = {
  known: ['httpGet'],
  silent: [
    'exec',
    'failureThreshold',
    'grpc',
    'initialDelaySeconds',
    'periodSeconds',
    'successThreshold',
    'tcpSocket',
    'terminationGracePeriodSeconds',
    'timeoutSeconds',
  ],
  hints: { path: 'indent it under `httpGet`' },
  lenient: true,
}

const HTTP_GET: Shape<'path'> = { known: ['path'], silent: ['host', 'httpHeaders', 'port', 'scheme'], lenient: true }

/** Reads a container. Kubernetes has many more fields: those pass. */
export function readContainer(value: Value): Container {
  const fields = value.fields(CONTAINER)
  fields.get('envFrom')?.notice('`envFrom` does nothing here: name the variables under `env`')
  return {
    name: fields.required('name')?.word() ?? '',
    command: fields.get('command')?.texts() ?? [],
    args: fields.get('args')?.texts() ?? [],
    env: fields.items('env').flatMap(item => readVariable(item) ?? []),
    ...present({
      image: fields.get('image')?.text(),
      readinessPath: readProbePath(fields),
    }),
  }
}

function readProbePath(fields: Fields<'readinessProbe'>): string | undefined {
  const get = fields.section('readinessProbe', PROBE).get('httpGet')
  if (get === undefined) return undefined
  const path = get.fields(HTTP_GET).get('path')
  const text = path?.text() ?? '/'
  return text.startsWith('/') ? text : path?.mistake(`\`${path.path}\` must begin with \`/\``)
}

const VARIABLE: Shape<'name' | 'value' | 'valueFrom'> = {
  known: ['name', 'value', 'valueFrom'],
  hints: {
    secretKeyRef: 'indent it under `valueFrom`',
    configMapKeyRef: 'indent it under `valueFrom`',
  },
  lenient: true,
}
const VALUE_FROM: Shape<'secretKeyRef' | 'configMapKeyRef'> = {
  known: ['secretKeyRef', 'configMapKeyRef'],
  idle: ['fieldRef', 'resourceFieldRef', 'fileKeyRef'],
  lenient: true,
}
const KEY: Shape<'name' | 'key' | 'optional'> = { known: ['name', 'key', 'optional'], lenient: true }

function readVariable(value: Value): EnvVar | undefined {
  const fields = value.fields(VARIABLE)
  const name = readVariableName(fields.required('name'))
  const plain = fields.get('value')
  const from = fields.get('valueFrom')
  if (plain !== undefined && from !== undefined)
    return value.mistake(`\`${value.path}\` must not have both \`value\` and \`valueFrom\``)
  if (from === undefined) return { name, value: plain?.text() ?? '' }
  const source = from.fields(VALUE_FROM)
  const secret = source.get('secretKeyRef')
  const map = source.get('configMapKeyRef')
  if (secret !== undefined && map !== undefined)
    return from.mistake(`\`${from.path}\` must not have both \`secretKeyRef\` and \`configMapKeyRef\``)
  const ref = (secret ?? map)?.fields(KEY)
  if (ref === undefined) return undefined
  return {
    name,
    from: secret === undefined ? 'config-map' : 'secret',
    object: ref.required('name')?.word() ?? '',
    key: ref.required('key')?.word() ?? '',
    optional: ref.get('optional')?.boolean() ?? false,
  }
}

function readVariableName(value: Value | undefined): string {
  const name = value?.word()
  if (value === undefined || name === undefined) return ''
  // No operating system takes more than this in a name.
  if (/[=\0]/.test(name)) value.mistake(`\`${value.path}\` must not hold \`=\` or NUL`)
  return name
}
