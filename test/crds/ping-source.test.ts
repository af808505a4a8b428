import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '../../crds/manifest.ts'

const SINK = 'sink: {ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: default}}'

function ping(spec: string) {
  const text = `apiVersion: sources.knative.dev/v1\nkind: PingSource\nmetadata: {name: p, namespace: ns}\nspec: {${spec}, ${SINK}}\n`
  const { resources, mistakes } = parseManifest(text, 'a.yaml')
  return { resource: resources[0], mistakes: mistakes.map(one => one.message) }
}

test('everything that Knative knows of a PingSource can be said', () => {
  const { resource, mistakes } = ping(
    `schedule: "*/2 * * * *", timezone: Europe/Berlin, contentType: application/json, data: '{"a": 1}', ceOverrides: {extensions: {team: blue}}`,
  )
  assert.deepEqual(mistakes, [])
  assert.ok(resource?.kind === 'PingSource')
  assert.deepEqual(resource.spec, {
    schedule: '*/2 * * * *',
    timezone: 'Europe/Berlin',
    contentType: 'application/json',
    data: '{"a": 1}',
    sink: { ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default', namespace: 'ns' } },
    extensions: { team: 'blue' },
  })
})

test('without a schedule it is every minute of UTC', () => {
  const { resource } = ping('data: x')
  assert.ok(resource?.kind === 'PingSource')
  assert.deepEqual([resource.spec.schedule, resource.spec.timezone], ['* * * * *', 'UTC'])
})

test('each mistake is told with a hint', () => {
  const says = (spec: string) => ping(spec).mistakes.join('\n')
  assert.match(says('schedule: "61 * * * *"'), /`spec.schedule` "61 \* \* \* \*" is wrong/)
  assert.match(says('schedule: "* * * *"'), /five fields/)
  assert.match(says('timezone: Europe/Berln'), /`spec.timezone`.*did you mean `Europe\/Berlin`/)
  assert.match(says('data: a, dataBase64: YQ=='), /exactly one of/)
  assert.match(says('dataBase64: "%%"'), /not base64/)
  assert.match(says('contentType: application/json, data: "{"'), /not JSON/)
  assert.match(says('contentType: json, data: "{}"'), /media type/)
  assert.match(says('jsonData: "{}"'), /`contentType: application\/json`/)
  assert.match(says('schedul: "* * * * *"'), /did you mean `schedule`/)
})
