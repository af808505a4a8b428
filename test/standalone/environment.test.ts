import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMapResource, SecretResource } from '../../crds/workloads.ts'
import { expand, resolveEnvironment } from '../../standalone/environment.ts'

const secret = { data: { key: 'hidden' } } as unknown as SecretResource
const settings = { data: { level: 'high' } } as unknown as ConfigMapResource
const objects = {
  secret: (name: string) => (name === 'creds' ? secret : undefined),
  configMap: (name: string) => (name === 'settings' ? settings : undefined),
}
const from = (name: string, of: 'secret' | 'config-map', object: string, key: string, optional = false) => ({
  name,
  from: of,
  object,
  key,
  optional,
})

test('values come from the YAML, Secrets and ConfigMaps, on top of what is inherited', () => {
  const vars = [
    { name: 'PLAIN', value: 'x' },
    from('SECRET', 'secret', 'creds', 'key'),
    from('LEVEL', 'config-map', 'settings', 'level'),
    { name: 'PATH', value: '/mine' },
  ]
  assert.deepEqual(resolveEnvironment(vars, { PATH: '/usr/bin', HOME: '/me' }, objects), {
    kind: 'resolved',
    env: { PATH: '/mine', HOME: '/me', PLAIN: 'x', SECRET: 'hidden', LEVEL: 'high' },
  })
})

test('everything that is missing is named at once, unless it is optional', () => {
  const vars = [
    from('A', 'secret', 'nobody', 'key'),
    from('B', 'secret', 'creds', 'other'),
    from('C', 'config-map', 'nothing', 'x'),
    from('D', 'config-map', 'nothing', 'x', true),
    from('E', 'secret', 'creds', 'constructor'),
  ]
  assert.deepEqual(resolveEnvironment(vars, {}, objects), {
    kind: 'missing',
    reasons: [
      'env A: there is no Secret nobody',
      'env B: Secret creds has no key other',
      'env C: there is no ConfigMap nothing',
      'env E: Secret creds has no key constructor',
    ],
  })
})

test('a value may refer to those before it, not to those after it nor to what is inherited', () => {
  const vars = [
    { name: 'A', value: '1' },
    { name: 'B', value: '$(A)$(C)$(HOME)' },
    { name: 'C', value: '$(B)' },
  ]
  const resolved = resolveEnvironment(vars, { HOME: '/me' }, objects)
  assert.deepEqual(resolved, { kind: 'resolved', env: { HOME: '/me', A: '1', B: '1$(C)$(HOME)', C: '1$(C)$(HOME)' } })
})

test('$(NAME) is replaced as a kubelet does it, unknown names and $$ stay text', () => {
  const env = { A: '1', B: '$(A)' }
  assert.equal(expand('$(A) $(B) $(C) $$(A) $A $(', env), '1 $(A) $(C) $(A) $A $(')
  assert.equal(expand('$(__proto__) $(constructor)', env), '$(__proto__) $(constructor)')
})
