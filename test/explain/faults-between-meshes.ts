import { edit, type Fault, onPlane, remove } from './plant.ts'
import { twoMeshes } from './scene.ts'

const buyer = { zone: 'east', gateway: 'buyer-1' }

export const faultsBetweenMeshes: readonly Fault[] = [
  {
    name: 'a gateway of another mesh without a crossMesh listener',
    scene: twoMeshes,
    plant: (rows) => {
      remove('AvailableService', 'door')(rows)
      edit('MeshGateway', 'door', (spec: { conf: { listeners: { crossMesh?: boolean }[] } }) => {
        for (const one of spec.conf.listeners) one.crossMesh = false
      })(rows)
    },
    url: 'http://localhost:33090/v2',
    from: buyer,
    step: 'endpoints',
    problem: /MeshGateway door of mesh billing has no listener for other meshes/,
    remedy: /crossMesh: true/,
  },
  {
    name: 'a gateway of another mesh that does not exist',
    scene: twoMeshes,
    plant: (rows) => {
      remove('AvailableService', 'door')(rows)
      remove('MeshGateway', 'door')(rows)
    },
    url: 'http://localhost:33090/v2',
    from: buyer,
    step: 'endpoints',
    problem: /mesh billing has no MeshGateway for door/,
    remedy: /apply a MeshGateway/,
  },
  {
    name: 'a gateway of another mesh without an instance',
    scene: twoMeshes,
    plant: remove('AvailableService', 'door'),
    url: 'http://localhost:33090/v2',
    from: buyer,
    step: 'endpoints',
    problem: /no zone has a proxy that is gateway door of mesh billing/,
    remedy: /gateway.type BUILTIN/,
  },
  {
    name: 'another mesh without mutual TLS',
    scene: twoMeshes,
    plant: edit('Mesh', 'billing', (spec: { mtls?: unknown }) => {
      delete spec.mtls
    }),
    url: 'http://localhost:33090/v2',
    from: buyer,
    step: 'listener',
    problem: /crossMesh needs mutual TLS in mesh "billing"/,
    remedy: /correct what this message names/,
  },
  {
    name: 'a host that the gateway of the other mesh does not have',
    scene: twoMeshes,
    url: 'http://localhost:33090/v2',
    from: buyer,
    step: 'listener',
    problem: /no listener of MeshGateway door on port 8090 answers for localhost/,
    remedy: /pay.billing.mesh/,
  },
  {
    name: 'a path that the gateway of the other mesh does not have',
    scene: twoMeshes,
    url: 'http://pay.billing.mesh:8090/v1',
    from: buyer,
    step: 'route',
    problem: /no MeshGatewayRoute of mesh billing has a rule for GET \/v1/,
    remedy: /add a route/,
  },
  {
    name: 'a missing permission for the gateway of the other mesh',
    scene: twoMeshes,
    plant: remove('TrafficPermission', 'let-in'),
    url: 'http://pay.billing.mesh:8090/v2',
    from: buyer,
    step: 'permission',
    problem: /no permission allows door .* to call pay/,
    remedy: /TrafficPermission/,
  },
  {
    name: 'a zone with different roots of the other mesh',
    scene: twoMeshes,
    spoil: onPlane('east', 'AuthorityCertificate', 'east', (row) =>
      row.key.mesh === 'billing' ? { ...row, spec: { ...row.spec, roots: '' } } : row,
    ),
    url: 'http://pay.billing.mesh:8090/v2',
    from: buyer,
    step: 'certificate',
    problem: /zone east does not trust the authority of zone west in mesh billing/,
    remedy: /the same roots/,
  },
  {
    name: 'a crossMesh listener that gets a request from outside',
    scene: twoMeshes,
    url: 'http://pay.billing.mesh:8090/v2',
    from: { zone: 'west', gateway: 'door-1' },
    step: 'listener',
    problem: /is for proxies of other meshes/,
    remedy: /--from ZONE\/PROXY/,
  },
  {
    name: 'gateways that route to each other',
    scene: twoMeshes,
    plant: edit('MeshGatewayRoute', 'pay', (spec: { conf: { http: { rules: { backends: unknown }[] } } }) => {
      for (const rule of spec.conf.http.rules)
        rule.backends = [{ weight: 1, destination: { 'kuma.io/service': 'door', 'kuma.io/mesh': 'billing' } }]
    }),
    url: 'http://pay.billing.mesh:8090/v2',
    from: buyer,
    step: 'gateway',
    problem: /the routes form a circle/,
    remedy: /to a service/,
  },
]
