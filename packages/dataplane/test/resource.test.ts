import { expect, test } from 'vitest'
import type { ProxyType } from '../src/contract.ts'
import { readProxy, substitute } from '../src/resource.ts'

const read = (yaml: string, proxyType?: ProxyType, variables: Record<string, string> = {}) =>
  readProxy({ proxyType, source: { type: 'resource', yaml, variables } })

test('P3 variables are replaced as Mustache does, and all variables without a value are named', () => {
  expect(substitute('{{a}} {{ b.c }} {{{a}}}', { a: '1', 'b.c': '2' })).toBe('1 2 1')
  expect(substitute('{{ .Name }} {{.a}} {{{ .b }}}', { a: '1' })).toBe('{{ .Name }} {{.a}} {{{ .b }}}')
  expect(() => substitute('{{constructor}}', {})).toThrow(/without a value: constructor;/)
  expect(() => substitute('{{a}} {{b}} {{c}}', { b: '' })).toThrow(/without a value: a, c; set them/)
})

test('P4 host names are resolved to addresses in both fields, and everything else stays unchanged', async () => {
  const proxy = await read(
    'type: ZoneIngress\nname: in\nnetworking: { address: localhost, advertisedAddress: localhost, advertisedPort: 10001, port: 10001 }',
    'ingress',
  )
  expect(proxy).toMatchObject({ type: 'ingress', mesh: '', name: 'in', needsLoopback: false })
  expect(JSON.parse(proxy.resource ?? '')).toMatchObject({
    networking: { address: '127.0.0.1', advertisedAddress: '127.0.0.1', advertisedPort: 10001 },
  })
})

test('P5 only sidecars without transparent proxying claim loopback addresses', async () => {
  const wants = async (networking: string) =>
    (await read(`type: Dataplane\nmesh: m\nname: {{n}}\nnetworking: ${networking}`, 'dataplane', { n: 'x' }))
      .needsLoopback
  expect(await wants('{ address: 127.0.0.1 }')).toBe(true)
  expect(await wants('{ address: 127.0.0.1, gateway: { type: DELEGATED } }')).toBe(true)
  expect(await wants('{ address: 127.0.0.1, gateway: { type: BUILTIN } }')).toBe(false)
  expect(await wants('{ address: 127.0.0.1, transparentProxying: { redirectPortOutbound: 15001 } }')).toBe(false)
  expect(await wants('{ address: 127.0.0.1, transparentProxying: { reachableServices: [a] } }')).toBe(true)
})

test('P6 an invalid resource is refused in one line', async () => {
  for (const type of ['', 'type: 7', 'type: Mesh', 'type: constructor'])
    await expect(read(`${type}\nname: x`)).rejects.toThrow(
      'must have type Dataplane, ZoneIngress or ZoneEgress, found ',
    )
  await expect(read('type: Dataplane')).rejects.toThrow('has no name')
  await expect(read('[')).rejects.toThrow('is not YAML')
  await expect(read('- a')).rejects.toThrow('not a YAML object')
})

test('P14 the type of a proxy follows from its resource, and a given type that contradicts it is refused', async () => {
  const typeOf = async (type: string, given?: ProxyType) => (await read(`type: ${type}\nname: x`, given)).type
  expect(await Promise.all(['Dataplane', 'ZoneIngress', 'ZoneEgress'].map((type) => typeOf(type)))).toEqual([
    ...['dataplane', 'ingress', 'egress'],
  ])
  expect(await typeOf('ZoneIngress', 'ingress')).toBe('ingress')
  await expect(typeOf('ZoneEgress', 'dataplane')).rejects.toThrow(
    '--proxy-type dataplane contradicts the resource, which has type ZoneEgress: omit --proxy-type, or give a Dataplane',
  )
  const existing = (proxyType?: ProxyType) =>
    readProxy({ proxyType, source: { type: 'existing', mesh: 'm', name: 'x' } })
  expect(await existing()).toMatchObject({ type: 'dataplane', mesh: 'm', needsLoopback: true })
  expect(await existing('egress')).toMatchObject({ type: 'egress', mesh: '', needsLoopback: false })
})
