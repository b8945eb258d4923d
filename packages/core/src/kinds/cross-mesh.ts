import { meshTag, portInRange, serviceTag, type Tags } from './common.ts'
import { type MeshName, meshName } from './identities.ts'
import { hostnameFault, listenerHostname, type MeshGatewaySpec } from './mesh-gateway-spec.ts'

/** Distinguishes cross-mesh listeners that have the same user-defined tags. */
export const portTag = 'zonemesh.io/port'

/** A cross-mesh listener: one that other meshes may call. */
export interface CrossMeshListener {
  readonly port: number
  readonly hostname: string
  /** The tags of the listener merged with those of its gateway. */
  readonly tags: Tags
}

/** The cross-mesh listeners of a gateway that can be served. Throws if the spec is malformed. */
export const crossMeshListeners = ({ tags, conf }: MeshGatewaySpec): readonly CrossMeshListener[] =>
  (conf?.listeners ?? []).flatMap((listener) => {
    const hostname = listenerHostname(listener)
    const { port = 0, protocol, crossMesh } = listener
    if (!crossMesh || protocol !== 'HTTP' || !portInRange(port) || hostnameFault(hostname) !== undefined) return []
    return [{ port, hostname, tags: { ...tags, ...listener.tags } }]
  })

/** The tags with which clients of any mesh select such a listener. Its instances are announced with the same tags. */
export const crossMeshTags = (mesh: string, port: number, tags: Tags): Tags => ({
  ...tags,
  [portTag]: String(port),
  [meshTag]: mesh,
})

/**
 * The location of a destination: the mesh that its tags name, behind a gateway there, or else the own mesh. `homeTags`
 * are the tags that identify it in that mesh.
 */
export function placeOf(mesh: MeshName, tags: Tags) {
  const { [meshTag]: other, ...homeTags } = tags
  return { home: other === undefined ? mesh : meshName(other), homeTags, isCrossMesh: other !== undefined }
}

/** The hostname, port and destination by which every mesh reaches a cross-mesh listener. */
export interface CrossMeshHost {
  readonly hostname: string
  readonly service: string
  readonly port: number
  readonly destination: Tags
}

/**
 * The hosts of a gateway: the hostname of each listener, or `internal.<gateway>.<mesh>.mesh` if that is missing or a
 * wildcard. Each pair of hostname and port occurs once.
 */
export function crossMeshHosts(mesh: string, gateway: string, spec: MeshGatewaySpec): readonly CrossMeshHost[] {
  const match = spec.selectors[0]?.match ?? {}
  const service = match[serviceTag] ?? '*'
  // A gateway that selects any service has no service name that clients could use.
  if (service === '*') return []
  const exact = Object.fromEntries(Object.entries(match).filter(([, value]) => value !== '*'))
  const hosts = new Map<string, CrossMeshHost>()
  for (const { port, hostname, tags } of crossMeshListeners(spec)) {
    const name = hostname.startsWith('*') ? `internal.${gateway}.${mesh}.mesh` : hostname
    const destination = crossMeshTags(mesh, port, { ...exact, ...tags })
    if (!hosts.has(`${name}:${port}`)) hosts.set(`${name}:${port}`, { hostname: name, service, port, destination })
  }
  return [...hosts.values()]
}

/** The name of the virtual address of a hostname. No service has such a name. */
export const hostAddressName = (hostname: string): string => `@${hostname}`
/** The hostname in such a name; undefined for the name of a service. */
export const hostOfAddress = (name: string): string | undefined => (name.startsWith('@') ? name.slice(1) : undefined)
