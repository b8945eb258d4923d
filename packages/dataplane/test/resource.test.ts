import { expect, test } from 'vitest'
import type { ProxyType } from '../src/contract.ts'
import { readProxy, substitute } from '../src/resource.ts'

const read = (yaml: string, proxyType: ProxyType = 'dataplane', variables: Record<string, string> = {}) =>
  readProxy({ proxyType, source: { type: 'resource', yaml, variables } })

test('P3 variables are replaced as Mustache does, and all variables without a value are named', () => {
  expect(substitute('{{a}} {{ b.c }} {{{a}}}', { a: '1', 'b.c': '2' })).toBe('1 2 1')
  expect(() => substitute('{{a}} {{b}} {{c}}', { b: '' })).toThrow(/uses a, c but no value/)
})

test('P4 host names are resolved to addresses in both fields, and everything else stays unchanged', async () => {
  const proxy = await read(
    'type: ZoneIngress\nname: in\nnetworking: { address: localhost, advertisedAddress: localhost, advertisedPort: 10001, port: 10001 }',
    'ingress',
  )
  expect(proxy).toMatchObject({ type: 'ingress', mesh: '', name: 'in', wantsLoopback: false })
  expect(JSON.parse(proxy.resource ?? '')).toMatchObject({
    networking: { address: '127.0.0.1', advertisedAddress: '127.0.0.1', advertisedPort: 10001 },
  })
})

test('P5 only sidecars without transparent proxying claim loopback addresses', async () => {
  const wants = async (networking: string) =>
    (await read(`type: Dataplane\nmesh: m\nname: {{n}}\nnetworking: ${networking}`, 'dataplane', { n: 'x' }))
      .wantsLoopback
  expect(await wants('{ address: 127.0.0.1 }')).toBe(true)
  expect(await wants('{ address: 127.0.0.1, gateway: { type: DELEGATED } }')).toBe(true)
  expect(await wants('{ address: 127.0.0.1, gateway: { type: BUILTIN } }')).toBe(false)
  expect(await wants('{ address: 127.0.0.1, transparentProxying: { redirectPortOutbound: 15001 } }')).toBe(false)
  expect(await wants('{ address: 127.0.0.1, transparentProxying: { reachableServices: [a] } }')).toBe(true)
})

test('P6 an invalid resource is refused in one line', async () => {
  await expect(read('type: ZoneEgress\nname: x')).rejects.toThrow('must have type Dataplane, found "ZoneEgress"')
  await expect(read('type: Dataplane')).rejects.toThrow('has no name')
  await expect(read('[')).rejects.toThrow('is not YAML')
  await expect(read('- a')).rejects.toThrow('not a YAML object')
})
