import { explanationLines } from '@zonemesh/cli/explain/show.ts'
import { explain } from '@zonemesh/core/explain/explain.ts'
import { readRequest } from '@zonemesh/core/explain/request.ts'
import type { Sources } from '@zonemesh/core/explain/sources.ts'
import { test } from 'vitest'
import { faults } from '../../explain/faults.ts'
import { faultsBetweenMeshes } from '../../explain/faults-between-meshes.ts'
import { healthyMesh, meshWithEgress, sourcesOf, twoMeshes } from '../../explain/scene.ts'
import { expectPage, type Shown } from './text.ts'

const shop = 'http://shop.example.com:8080/cart'
const gateway = { zone: 'east', gateway: 'gateway-1' }

function explained(title: string, sources: Sources, url = shop, from = gateway): Shown {
  const request = readRequest(url, { headers: {} })
  if (!request.ok) throw new Error(request.error)
  const lines = explanationLines(explain(request.value, from, sources))
  return { title, command: `zonemesh explain ${url} --from ${from.zone}/${from.gateway}`, lines }
}

test('B93 explain of an open path equals its golden text', async () => {
  const healthy = sourcesOf(await healthyMesh())
  const client = { zone: 'east', gateway: 'client-1' }
  const buyer = { zone: 'east', gateway: 'buyer-1' }
  const onlyEast = { ...healthy, global: undefined, proxies: new Map(), zones: new Map([...healthy.zones].slice(0, 1)) }
  expectPage('explain-open', [
    explained('two versions of a service in two zones', healthy),
    explained('a listener with TLS', healthy, 'https://shop.example.com:8443/'),
    explained('a TCP listener', healthy, 'tcp://any:9000'),
    explained('from a sidecar', healthy, 'http://echo.demo.svc.8080.mesh:8080/x', client),
    explained('through the egress of the zone', sourcesOf(await meshWithEgress())),
    explained('into another mesh', sourcesOf(await twoMeshes()), 'http://pay.billing.mesh:8090/v2/pay', buyer),
    explained('only one zone answers the command', onlyEast),
  ])
})

test('B93 the first fault of a request and its remedy equal their golden text', async () => {
  const shown: Shown[] = []
  for (const { name, scene, plant, spoil, url, from } of [...faults, ...faultsBetweenMeshes]) {
    const rows = await (scene ?? healthyMesh)()
    await plant?.(rows)
    const sources = sourcesOf(rows)
    shown.push(explained(name, spoil ? spoil(sources) : sources, url, from))
  }
  // The steps before the fault are those of the open path. They are shown in full for the first faults only.
  const isFault = (lines: readonly string[]) => lines.slice(lines.findIndex((line) => line.startsWith('✘')))
  expectPage(
    'explain-faults',
    shown.map((one, index) => (index < 5 ? one : { ...one, lines: isFault(one.lines) })),
  )
})
