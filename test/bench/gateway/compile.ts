import { createCompiler } from '@zonemesh/core/compile/compiler.ts'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import type { Figure } from '../figures.ts'

const gateway = { origin: 'east', kind: 'Dataplane', mesh: 'default', name: 'gateway' }
const facts = { canBindPort80: true }

/** A zone with so many routes of one gateway and so many services: first everything, then one changed route again and again. */
export function measureCompile(routes: number, services: number, changes: number): Figure[] {
  let revision = 0
  const version = (origin: string, kind: string, mesh: string, name: string, spec: unknown): Version => {
    revision += 1
    const stamp = { incarnation: 1, originRevision: revision, createdAtMs: 1, modifiedAtMs: revision }
    const row: Row = { key: { origin, kind, mesh, name }, stamp, labels: {}, spec: spec as JsonObject } // written as JSON here
    return { key: row.key, stamp, row, revision, state: 'live' }
  }
  const service = (index: number) => `service-${index}_demo_svc_80`
  const routeOf = (index: number, path: string) =>
    version('global', 'MeshGatewayRoute', 'default', `route-${index}`, {
      selectors: [{ match: { 'kuma.io/service': 'edge' } }],
      conf: {
        http: {
          hostnames: [`host-${index % 50}.example.com`],
          rules: [
            {
              matches: [{ path: { match: 'PREFIX', value: path } }],
              backends: [{ destination: { 'kuma.io/service': service(index % services) } }],
            },
          ],
        },
      },
    })
  const all = [
    version('global', 'Mesh', '', 'default', {
      mtls: { enabledBackend: 'ca', backends: [{ name: 'ca', type: 'builtin' }] },
    }),
    version('global', 'MeshGateway', 'default', 'edge', {
      selectors: [{ match: { 'kuma.io/service': 'edge' } }],
      conf: { listeners: [{ port: 8080, protocol: 'HTTP' }] },
    }),
    version('east', 'Dataplane', 'default', 'gateway', {
      networking: { address: '10.0.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } },
    }),
    ...Array.from({ length: services }, (_unused, index) =>
      version('east', 'Dataplane', 'default', `dp-${index}`, {
        networking: {
          address: `10.1.${index >> 8}.${index & 255}`,
          inbound: [{ port: 80, tags: { 'kuma.io/service': service(index), 'kuma.io/protocol': 'http' } }],
        },
      }),
    ),
    ...Array.from({ length: routes }, (_unused, index) => routeOf(index, `/path-${index}`)),
  ]
  const proxy = keyText(gateway)
  const first: number[] = []
  let compiler = createCompiler({ zone: 'east' })
  for (let round = 0; round < 5; round += 1) {
    compiler = createCompiler({ zone: 'east' })
    const startMs = performance.now()
    compiler.apply(all, revision)
    compiler.table(proxy, facts)
    first.push(performance.now() - startMs)
  }
  const changed: number[] = []
  const sent: number[] = []
  let before = compiler.table(proxy, facts)
  for (let index = 0; index < changes; index += 1) {
    const next = routeOf(index % routes, `/changed-${index}`)
    const startMs = performance.now()
    compiler.apply([next], revision)
    const table = compiler.table(proxy, facts)
    changed.push(performance.now() - startMs)
    const differing = [...Object.values(typeUrls)].flatMap((type) =>
      [...(table?.resources.get(type)?.values() ?? [])].filter(
        (one) => before?.resources.get(type)?.get(one.name)?.version !== one.version,
      ),
    )
    sent.push(differing.length)
    before = table
  }
  const zone = `${routes} routes of one gateway, ${services} services`
  return [
    { name: `${zone}: first full table of the gateway`, unit: 'ms', samples: first, target: { max: 1_500 } },
    { name: `${zone}: one changed route → its table`, unit: 'ms', samples: changed, target: { p50: 5 } },
    { name: 'resources that differ after one changed route', unit: '', samples: sent, target: { max: 1 } },
  ]
}
