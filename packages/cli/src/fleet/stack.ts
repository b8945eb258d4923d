import type { Part } from '../chaos/parts.ts'
import type { Stack } from '../chaos/stack.ts'
import type { Target } from '../chaos/targets.ts'
import { planes, proxies, zones } from './members.ts'

/** The relay of compose.chaos.yml: the first port is that of its control, then a port for the line of each zone. */
export const relayPort = 5700
export const lineOf = (zone: string): number => relayPort + 1 + zones.findIndex(({ name }) => name === zone)

const host = '127.0.0.1'
const entrances: Readonly<Record<string, string>> = {
  'gateway-east': `${host}:8080`,
  'gateway-south': `${host}:8081`,
  'shop-sidecar': `${host}:8082`,
}
const gateways: Readonly<Record<string, string>> = {
  'gateway-east': 'edge-gateway',
  'gateway-south': 'edge-gateway',
  'shop-sidecar': 'shop-gateway',
}
const echo = { service: 'echo_demo_svc_8080', zone: 'west' }

/** What `zonemesh chaos` needs to inject faults into the fleet and to observe it. */
export function fleetStack(tokens: { readonly user: string; readonly relay: string }): Stack {
  return {
    ...{ version: 1, folder: 'the compose project zonemesh', compose: 'zonemesh', token: tokens.user },
    control: { address: `http://${host}:${relayPort}`, token: tokens.relay },
    global: { api: `http://${host}:5681` },
    parts: parts(),
    zones: {
      east: { api: `http://${host}:5691`, dns: `${host}:5653` },
      west: { api: `http://${host}:5692`, dns: `${host}:5654` },
      south: { api: `http://${host}:5693`, dns: `${host}:5655` },
    },
    scene: {
      ...{ mesh: 'default', gateway: 'edge-gateway', listener: 'http-main', hostname: 'shop.example.com' },
      entrance: `${host}:8080`,
      services: [
        echo,
        { ...echo, version: 'v1' },
        { ...echo, version: 'v2' },
        { ...echo, entrance: `${host}:8081`, gateway: 'edge-gateway' },
        { ...echo, entrance: `${host}:8082`, gateway: 'shop-gateway' },
      ],
      targets: [...proxies.map(targetOf), ...services],
    },
  }
}

function parts(): Part[] {
  const others: readonly Part[] = [
    { name: 'postgres', kind: 'database', port: 5432, replicas: 1, networks: ['database'] },
    { name: 'redis', kind: 'redis', port: 6379, replicas: 1, networks: ['database'] },
    { name: 'balancer', kind: 'balancer', port: 8404, replicas: 1, networks: ['default'], alias: 'global' },
  ]
  const replicas = planes.flatMap(({ name: plane, replicas: names, schema }): Part[] =>
    names.map((name) => ({
      ...(plane === 'global' ? { kind: 'global' } : { kind: 'zone', zone: plane }),
      ...{ name, port: 5680, replicas: names.length },
      networks: ['default', ...(schema === undefined ? [] : ['database'])],
    })),
  )
  return [...replicas, ...others]
}

/** The sidecar of a service has the name of its service before its end, and uses the network of it. */
function targetOf({ name, zone, scope }: (typeof proxies)[number]): Target {
  const kind = scope === 'dataplane' ? undefined : ({ ingress: 'Ingress', egress: 'Egress' } as const)[scope]
  if (scope !== 'dataplane')
    return { name, zone, kind: scope, proxy: `${zone}/Zone${kind}//${name}`, networks: ['default'] }
  const common = { name, zone, proxy: `${zone}/Dataplane/default/${name}` }
  const gateway = gateways[name]
  if (gateway !== undefined) {
    const networks = name === 'shop-sidecar' ? [] : ['default']
    return { ...common, kind: 'gateway', service: gateway, entrance: entrances[name], networks }
  }
  const [, number] = /^echo-(\d)-sidecar$/.exec(name) ?? []
  return number === undefined
    ? { ...common, kind: 'sidecar', service: 'client_demo_svc_3000', networks: ['default'], sharesNetwork: true }
    : { ...common, kind: 'sidecar', service: echo.service, version: `v${number}`, networks: [] }
}

/** Services whose sidecars use their network. */
const services: readonly Target[] = ['1', '2'].map((number) => ({
  ...{ name: `echo-${number}`, kind: 'service', zone: 'west', service: echo.service, version: `v${number}` },
  ...{ sharesNetwork: true, networks: ['default'] },
}))
