import assert from 'node:assert/strict'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { mint } from '../../standalone/mint.ts'
import { BROKER_YAML, startDev } from './dev-process.ts'
import { eventually, tempFolder } from './local.ts'

const AUDIENCE = 'eventing.knative.dev/broker/default/default'

const features = (data: string) => `---
apiVersion: v1
kind: ConfigMap
metadata: { name: config-features, namespace: knative-eventing }
data: ${data}
`
const ON = features('{ authentication-oidc: enabled }')

const policy = (sub: string, type: string) => `---
apiVersion: eventing.knative.dev/v1alpha1
kind: EventPolicy
metadata: { name: only }
spec:
  from: [{ sub: "${sub}" }]
  filters: [{ exact: { type: ${type} } }]
`

/** Status of the answer to one event. */
function post(url: string, token?: string, type = 'order'): Promise<number> {
  const headers = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-type': type, 'ce-source': '/test' }
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return new Promise((resolve, reject) => {
    const options = { method: 'POST', headers: { ...headers, ...authorization }, agent: false }
    const asked = request(url, options, response => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0))
    })
    asked.on('error', reject).end('x')
  })
}

test('with OIDC on a token of `weir token` opens the door, a policy decides, and an edit of either takes effect', async t => {
  const cwd = tempFolder(t)
  const file = join(cwd, 'my.yaml')
  writeFileSync(file, BROKER_YAML + ON)
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  const outside = { clock: systemClock, cwd, env: { XDG_RUNTIME_DIR: cwd }, tempDir: '', uid: process.getuid?.() }
  const url = `${dev.ingress}/default/default`
  const tokenFor = async (audience: string, subject?: string) => {
    const minted = await mint({ audience, subject }, outside)
    assert.equal(minted.kind, 'token')
    return minted.kind === 'token' ? minted.token : ''
  }

  assert.equal(await post(url), 401)
  assert.equal(await post(url, await tokenFor(AUDIENCE)), 202)
  assert.equal(await post(url, await tokenFor('another')), 401)
  assert.equal(await post(url, await tokenFor(AUDIENCE, 'system:serviceaccount:other:x')), 403)

  writeFileSync(file, BROKER_YAML + ON + policy('system:serviceaccount:other:*', 'order'))
  const theirs = await tokenFor(AUDIENCE, 'system:serviceaccount:other:x')
  await eventually('the policy takes effect', async () => (await post(url, theirs)) === 202)
  assert.equal(await post(url, theirs, 'something'), 403)
  assert.equal(await post(url, await tokenFor(AUDIENCE)), 403, 'the default mode counts no more')

  writeFileSync(file, BROKER_YAML + features('{ authentication-oidc: disabled }'))
  await eventually('OIDC is off', async () => (await post(url)) === 202)

  const keyFile = join(cwd, `weir-${process.getuid?.()}`, `${dev.child.pid}.issuer`)
  assert.equal(statSync(keyFile).mode & 0o777, 0o600)
  dev.child.kill('SIGINT')
  assert.equal(await dev.code, 0)
  assert.ok(!existsSync(keyFile))
})

test('without OIDC `weir token` says that none is needed, and without a Weir that none runs', async t => {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), BROKER_YAML)
  const outside = { clock: systemClock, cwd, env: { XDG_RUNTIME_DIR: cwd }, tempDir: '', uid: process.getuid?.() }
  const before = await mint({ audience: AUDIENCE, subject: undefined }, outside)
  assert.match(before.kind === 'failed' ? before.reason : '', /no Weir runs here/)
  await startDev(t, { cwd, args: ['my.yaml'] })
  const off = await mint({ audience: AUDIENCE, subject: undefined }, outside)
  assert.match(off.kind === 'failed' ? off.reason : '', /OIDC is off.*authentication-oidc: enabled/)
})

test('with --data a token that was made before a restart on the same port is taken after it', async t => {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), BROKER_YAML + ON)
  const outside = { clock: systemClock, cwd, env: { XDG_RUNTIME_DIR: cwd }, tempDir: '', uid: process.getuid?.() }
  const first = await startDev(t, { cwd, args: ['my.yaml', '--data', 'kept'] })
  const minted = await mint({ audience: AUDIENCE, subject: undefined }, outside)
  assert.ok(minted.kind === 'token')
  const consolePort = new URL(first.console).port
  first.child.kill('SIGINT')
  assert.equal(await first.code, 0)
  const second = await startDev(t, { cwd, args: ['my.yaml', '--data', 'kept', '--console-port', consolePort] })
  assert.equal(await post(`${second.ingress}/default/default`, minted.token), 202)
})

test('who can be told from the documents on the console port checks what Weir sends', async t => {
  const cwd = tempFolder(t)
  writeFileSync(join(cwd, 'my.yaml'), BROKER_YAML + ON)
  const dev = await startDev(t, { cwd, args: ['my.yaml'] })
  const read = async (url: string) => (await (await fetch(url)).json()) as Record<string, unknown>
  const discovery = await read(`${dev.console}/.well-known/openid-configuration`)
  assert.equal(discovery.issuer, dev.console)
  const keys = (await read(String(discovery.jwks_uri))).keys
  assert.ok(Array.isArray(keys) && keys.length === 1)
})
