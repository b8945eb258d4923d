/** A control plane of the fleet in compose. The names of replicas are those of their services. */
export interface Plane {
  readonly name: string
  readonly replicas: readonly string[]
  /** Its schema in PostgreSQL. Without one, its store is a file. */
  readonly schema?: string
}

export const zones: readonly Plane[] = [
  { name: 'east', replicas: ['zone-east'] },
  { name: 'west', replicas: ['zone-west-1', 'zone-west-2'], schema: 'west' },
  { name: 'south', replicas: ['zone-south'] },
]

export const planes: readonly Plane[] = [
  { name: 'global', replicas: ['global-1', 'global-2'], schema: 'global' },
  ...zones,
]

/** A proxy of the fleet, with the name of its service. */
export interface Proxy {
  readonly name: string
  readonly zone: string
  readonly scope: 'dataplane' | 'ingress' | 'egress'
}

const edges = zones.flatMap(({ name: zone }) =>
  (['ingress', 'egress'] as const).map((scope) => ({ name: `${scope}-${zone}`, zone, scope })),
)

export const proxies: readonly Proxy[] = [
  ...edges,
  ...[
    { name: 'gateway-east', zone: 'east' },
    { name: 'gateway-south', zone: 'south' },
    { name: 'shop-sidecar', zone: 'east' },
    { name: 'client-sidecar', zone: 'east' },
    { name: 'echo-1-sidecar', zone: 'west' },
    { name: 'echo-2-sidecar', zone: 'west' },
  ].map((proxy) => ({ ...proxy, scope: 'dataplane' as const })),
]
