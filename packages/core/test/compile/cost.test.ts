import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { expect, test } from 'vitest'
import { createCompiler } from '../../src/compile/compiler.ts'
import {
  builtinGateway,
  createScene,
  global,
  httpRoute,
  meshGateway,
  mtlsMesh,
  prefixRule,
  sidecar,
  zoned,
} from './scene.ts'

const facts = { canBindPort80: true }

/** A thousand sidecars of a hundred services, three hundred routes with separate hosts, two replicas of a gateway. */
function largeScene() {
  const scene = createScene()
  const versions = [
    scene.put(global('Mesh', 'default', ''), mtlsMesh()),
    scene.put(global('MeshGateway', 'edge'), meshGateway([{ port: 8080, protocol: 'HTTP', tags: { port: 'http' } }])),
    scene.put(zoned('east', 'Dataplane', 'edge-1'), builtinGateway('10.9.0.1')),
    scene.put(zoned('east', 'Dataplane', 'edge-2'), builtinGateway('10.9.0.2')),
  ]
  for (let at = 0; at < 1000; at += 1) {
    const address = `10.1.${Math.floor(at / 250)}.${at % 250}`
    versions.push(scene.put(zoned('east', 'Dataplane', `dp-${at}`), sidecar(address, `svc-${at % 100}`)))
  }
  for (let at = 0; at < 100; at += 1)
    versions.push(scene.put(zoned('east', 'VirtualAddress', `svc-${at}`), { number: at }))
  for (let at = 0; at < 300; at += 1) versions.push(routeVersion(at, `/api/${at}`))
  function routeVersion(at: number, path: string) {
    const hosts = at % 2 === 0 ? {} : { hostnames: [`h${at}.example.com`] }
    return scene.put(global('MeshGatewayRoute', `route-${at}`), httpRoute([prefixRule(path, `svc-${at % 100}`)], hosts))
  }
  return { scene, versions, routeVersion }
}

test('L13 a change of one route among three hundred compiles a few units and wakes only gateways', () => {
  const { scene, versions, routeVersion } = largeScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  const gateways = ['edge-1', 'edge-2'].map((name) => keyText(zoned('east', 'Dataplane', name)))
  for (const gateway of gateways) compiler.table(gateway, facts)
  for (let at = 0; at < 1000; at += 1)
    compiler.table(keyText(zoned('east', 'Dataplane', `dp-${at}`)), { ...facts, part: at % 8 })

  const before = compiler.counters.unitsCompiled
  const touched = compiler.apply([routeVersion(7, '/changed')], scene.revision)
  expect([...touched].sort()).toEqual(gateways)
  for (const proxy of touched) compiler.table(proxy, facts)
  expect(compiler.counters.unitsCompiled - before).toBeLessThan(20)
})

test('L13 a new instance of a service wakes only the proxies that use it, and its assignment is encoded once', () => {
  const { scene, versions } = largeScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  const proxies = Array.from({ length: 50 }, (_unused, at) => keyText(zoned('east', 'Dataplane', `dp-${at}`)))
  for (const proxy of proxies) compiler.table(proxy, { ...facts, part: 1 })
  const before = compiler.counters.unitsCompiled
  const touched = compiler.apply(
    [scene.put(zoned('east', 'Dataplane', 'more'), sidecar('10.2.0.1', 'svc-1'))],
    scene.revision,
  )
  expect([...touched].sort()).toEqual([...proxies, keyText(zoned('east', 'Dataplane', 'more'))].sort())
  const tables = proxies.map((proxy) => compiler.table(proxy, { ...facts, part: 1 }))
  const assignments = tables.map(
    (table) => [...(table?.resources.values() ?? [])].map((one) => one.get('svc-1')).filter(Boolean)[1],
  )
  expect(new Set(assignments).size).toBe(1)
  // Shared units are computed once, and three units for each proxy: its list of assignments, its model and its root.
  expect(compiler.counters.unitsCompiled - before).toBeLessThan(3 * 50 + 20)
})

test('L13 a proxy without a connection costs nothing', () => {
  const { scene, versions } = largeScene()
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  expect(compiler.counters.unitsCompiled).toBe(0)
})
