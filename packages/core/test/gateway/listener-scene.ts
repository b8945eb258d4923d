import type { Version } from '@zonemesh/shared/store/store.ts'
import { createCompiler } from '../../src/compile/compiler.ts'
import { decoded } from '../../src/emit/decode.ts'
import { typeUrls } from '../../src/emit/table.ts'
import { builtinGateway, createScene, global, meshGateway, type Scene, zoned } from '../compile/scene.ts'

export const proxy = 'east/Dataplane/default/edge'
export const gatewayKey = 'global/MeshGateway/default/edge'
export const facts = { canBindPort80: true }

/** The fields of Envoy's messages that the tests read. */
interface ListenerJson {
  readonly listener_filters?: readonly { readonly name: string }[]
  readonly filter_chains?: readonly {
    readonly filter_chain_match?: { readonly server_names?: readonly string[] }
    readonly transport_socket?: {
      readonly typed_config: { readonly common_tls_context: { readonly tls_certificate_sds_secret_configs: object[] } }
    }
    readonly filters?: readonly { readonly typed_config: TcpJson & { readonly rds?: { route_config_name: string } } }[]
  }[]
}
interface TcpJson {
  readonly cluster?: string
  readonly weighted_clusters?: { readonly clusters: readonly { readonly name: string; readonly weight: number }[] }
  readonly idle_timeout?: string
  readonly max_connect_attempts?: number
}

export const listener = (port: number, protocol: string, more: object = {}) => ({ port, protocol, ...more })
const secrets = (...names: string[]) => names.map((secret) => ({ secret }))
export const terminate = (...names: string[]) => ({ tls: { mode: 'TERMINATE', certificates: secrets(...names) } })
export const passthrough = { tls: { mode: 'PASSTHROUGH' } }

export function compiled(listeners: readonly object[], build: (scene: Scene) => readonly Version[] = () => []) {
  const scene = createScene()
  const versions = [
    scene.put(zoned('east', 'Dataplane', 'edge'), builtinGateway('10.0.0.5')),
    scene.put(global('MeshGateway', 'edge'), meshGateway(listeners)),
    ...build(scene),
  ]
  const compiler = createCompiler({ zone: 'east' })
  compiler.apply(versions, scene.revision)
  const table = () => compiler.table(proxy, facts)
  return {
    scene,
    compiler,
    table,
    apply: (...more: Version[]) => compiler.apply(more, scene.revision),
    problems: () => table()?.problems ?? [],
    names: () => Object.keys(decoded(table(), typeUrls.listener)),
    // The tests declare the fields of the decoded messages that they read.
    listener: (name: string) => decoded(table(), typeUrls.listener)[name] as ListenerJson | undefined,
    resource: (name: string) => table()?.resources.get(typeUrls.listener)?.get(name),
  }
}

export const backend = (service: string, weight?: number, tags: object = {}) => ({
  ...(weight === undefined ? {} : { weight }),
  destination: { 'kuma.io/service': service, ...tags },
})
export const tcpRoute = (scene: Scene, name: string, rules: readonly (readonly object[])[], selector = {}) =>
  scene.put(global('MeshGatewayRoute', name), {
    selectors: [{ match: { 'kuma.io/service': 'edge-gateway', ...selector } }],
    conf: { tcp: { rules: rules.map((backends) => ({ backends })) } },
  })
export const certificate = (scene: Scene, secret: string, more: object = {}) =>
  scene.put(global('GatewayCertificate', `${secret}.east`), {
    secret,
    zone: 'east',
    keyType: 'rsa',
    names: [],
    notAfterMs: 1,
    fingerprint: `of ${secret}`,
    sealed: 'x',
    ...more,
  })

/** For each chain, its server names and the targets of its connections, without the hashes of clusters. */
export function chainsOf(json: ListenerJson | undefined) {
  const plain = (name: string | undefined) => name?.replace(/-[0-9a-f]{16}$/, '')
  return (json?.filter_chains ?? []).map(({ filter_chain_match, filters = [] }) => {
    const names = filter_chain_match?.server_names?.join() ?? '-'
    const config = filters[0]?.typed_config
    if (!config) return `${names}: closed`
    if (config.rds) return `${names}: ${config.rds.route_config_name}`
    const weighted = config.weighted_clusters?.clusters.map(({ name, weight }) => `${plain(name)} ${weight}`)
    return `${names}: ${weighted?.join(', ') ?? plain(config.cluster)}`
  })
}
