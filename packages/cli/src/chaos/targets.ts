import { z } from 'zod'

/** A proxy of a stack, or a service behind one, that a fault can stop. Its name is that of its process or container. */
export const target = z.object({
  name: z.string(),
  kind: z.enum(['gateway', 'ingress', 'sidecar', 'service']),
  zone: z.string(),
  /** The name of the proxy in the status of its zone; absent for a service. */
  proxy: z.string().optional(),
  /** The tags of the service. */
  service: z.string().optional(),
  version: z.string().optional(),
  /** HOST:PORT of a service. */
  address: z.string().optional(),
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
  readonly targets: readonly Target[]
}

/** Whether requests to a destination pass a target: all of them, those that are balanced to it, or none. */
export function passes(scene: SceneOfTargets, one: Target, to: Destination): 'always' | 'sometimes' | 'never' {
  const gateway = to.gateway ?? scene.gateway
  const entrance = scene.targets.find(({ kind, service }) => kind === 'gateway' && service === gateway)
  const isOnPath = ({ kind, zone, service, version }: Target): boolean => {
    switch (kind) {
      case 'gateway':
        return service === gateway
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
