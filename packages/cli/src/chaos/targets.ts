import { z } from 'zod'

/** A proxy of a stack, or a service behind one, that a fault can stop. Its name is that of its process or container. */
export const target = z.object({
  name: z.string(),
  kind: z.enum(['gateway', 'ingress', 'egress', 'sidecar', 'service']),
  zone: z.string(),
  /** The name of the proxy in the status of its zone; absent for a service. */
  proxy: z.string().optional(),
  /** The tags of the service. */
  service: z.string().optional(),
  version: z.string().optional(),
  /** HOST:PORT of a service. */
  address: z.string().optional(),
  /** HOST:PORT of one of several instances of a gateway: only requests to it pass the instance. */
  entrance: z.string().optional(),
  /** Whether other containers use its network. Then a new process would have another one than they. */
  sharesNetwork: z.boolean().optional(),
  /** Its networks in the compose project. A sidecar uses that of its service. */
  networks: z.array(z.string()).optional(),
})
export type Target = z.infer<typeof target>

/** A service that runs all the time. Requests and name lookups use it. */
export const destination = z.object({
  service: z.string(),
  zone: z.string(),
  version: z.string().optional(),
  /** HOST:PORT of another gateway than the one of the scene, and its service tag. It needs no route of a run. */
  entrance: z.string().optional(),
  gateway: z.string().optional(),
})
export type Destination = z.infer<typeof destination>

export const pathOf = ({ zone, version, gateway }: Destination): string =>
  ['/chaos', zone, version, gateway].filter((part) => part !== undefined).join('-')

interface SceneOfTargets {
  readonly gateway: string
  readonly entrance?: string
  readonly targets: readonly Target[]
}

/** Whether requests to a destination pass a target: all of them, those that are balanced to it, or none. */
export function passes(scene: SceneOfTargets, one: Target, to: Destination): 'always' | 'sometimes' | 'never' {
  const gateway = to.gateway ?? scene.gateway
  const address = to.entrance ?? scene.entrance
  const isEntrance = ({ entrance: own, service }: Target) => (own === undefined ? service === gateway : own === address)
  const entrance = scene.targets.find((other) => other.kind === 'gateway' && isEntrance(other))
  const isOnPath = (other: Target): boolean => {
    const { kind, zone, service, version } = other
    switch (kind) {
      case 'gateway':
        return isEntrance(other)
      case 'egress':
        return zone === entrance?.zone && zone !== to.zone
      case 'ingress':
        return zone === to.zone && entrance?.zone !== to.zone
      case 'sidecar':
      case 'service':
        return service === to.service && zone === to.zone && (to.version === undefined || version === to.version)
    }
  }
  if (!isOnPath(one)) return 'never'
  return scene.targets.some((other) => other.name !== one.name && other.kind === one.kind && isOnPath(other))
    ? 'sometimes'
    : 'always'
}
