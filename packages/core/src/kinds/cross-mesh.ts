import { meshTag, portInRange, serviceTag, type Tags } from './common.ts'
import { type MeshName, meshName } from './identities.ts'
import { hostnameFault, listenerHostname, type MeshGatewaySpec } from './mesh-gateway-spec.ts'

/** Tells listeners apart that other meshes may call, where the tags that people gave them do not. */
export const portTag = 'zonemesh.io/port'

/** A listener that other meshes may call. */
export interface CrossMeshListener {
  readonly port: number
  readonly hostname: string
  /** Its own and those of its gateway. */
  readonly tags: Tags
}

/** Those of a gateway that can be served. Throws on what is no MeshGateway. */
export const crossMeshListeners = ({ tags, conf }: MeshGatewaySpec): readonly CrossMeshListener[] =>
  (conf?.listeners ?? []).flatMap((listener) => {
    const hostname = listenerHostname(listener)
    const { port = 0, protocol, crossMesh } = listener
    if (!crossMesh || protocol !== 'HTTP' || !portInRange(port) || hostnameFault(hostname) !== undefined) return []
    return [{ port, hostname, tags: { ...tags, ...listener.tags } }]
  })

/** The tags by which clients of any mesh ask for such a listener, and by which its instances are announced. */
export const crossMeshTags = (mesh: string, port: number, tags: Tags): Tags => ({
  ...tags,
  [portTag]: String(port),
  [meshTag]: mesh,
})

/**
 * Where a destination is: in the mesh that its tags name, behind a gateway there, or in the own one. `asked` are the tags by
 * which it is known there.
 */
export function placeOf(mesh: MeshName, tags: Tags) {
  const { [meshTag]: other, ...asked } = tags
  return { home: other === undefined ? mesh : meshName(other), asked, isCrossMesh: other !== undefined }
}

/** Where such a listener is reached from every mesh. */
export interface CrossMeshHost {
  readonly hostname: string
  readonly service: string
  readonly port: number
  readonly destination: Tags
}

/**
 * The hosts of a gateway: the hostname of a listener, or where that is none or a wildcard `internal.<gateway>.<mesh>.mesh`.
 * Each hostname and port once.
 */
export function crossMeshHosts(mesh: string, gateway: string, spec: MeshGatewaySpec): readonly CrossMeshHost[] {
  const match = spec.selectors[0]?.match ?? {}
  const service = match[serviceTag] ?? '*'
  // A gateway of any service has no name of its own to be asked for.
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

/** The name under which a hostname has its virtual address. No service has such a name. */
export const hostAddressName = (hostname: string): string => `@${hostname}`
/** The hostname of such a name; undefined of the name of a service. */
export const hostOfAddress = (name: string): string | undefined => (name.startsWith('@') ? name.slice(1) : undefined)
