import { typeUrls } from '@zonemesh/core/emit/table.ts'
import type { ResolvedTable } from '@zonemesh/zone/xds/ads-state.ts'
import { gatewayName } from './content.ts'
import type { Scene } from './scene.ts'
import type { Process } from './world.ts'
import type { ZonePlane } from './zone-plane.ts'

/** A proxy with its Envoy. It survives its zone's control plane and keeps its configuration. */
interface Proxy {
  readonly key: string
  readonly process: Process
  held: ResolvedTable | undefined
}

/**
 * A small xDS client for each proxy of a zone: it accepts tables, checks that all their references are resolved (L9),
 * and answers a little later.
 */
export function createProxies(scene: Scene) {
  const { world } = scene
  const byZone = new Map<string, readonly Proxy[]>()
  const broken: string[] = []

  function proxiesOf(zone: string): readonly Proxy[] {
    const known = byZone.get(zone)
    if (known) return known
    const keys = [
      `${zone}/Dataplane/default/${gatewayName}`,
      `${zone}/Dataplane/default/stable-1`,
      `${zone}/ZoneIngress//ingress-${zone}`,
    ]
    const made = keys.map(
      (key): Proxy => ({ key, process: world.createProcess(`envoy ${key}`, { offsetMs: 0 }), held: undefined }),
    )
    byZone.set(zone, made)
    return made
  }

  async function serve(plane: ZonePlane, proxy: Proxy, signal: AbortSignal): Promise<void> {
    await proxy.process.sleep(1 + world.random.fraction() * 4)
    if (!plane.process.isAlive()) return
    const { core } = plane
    core.leases.opened(proxy.key, plane.process.name)
    const feed = core.engine.open(proxy.key, { canBindPort80: true })
    for await (const table of feed.table.watch(signal)) {
      if (!table) continue
      await proxy.process.sleep(0.5 + world.random.fraction() * 3)
      if (!plane.process.isAlive()) return
      check(proxy.key, table)
      proxy.held = table
      core.refusals.served(proxy.key, table.mark)
      core.progress.served(proxy.key, table.mark)
      core.reporter.update()
    }
  }

  /** L9: everything that a resource refers to is in the same table. */
  function check(proxy: string, table: ResolvedTable): void {
    const of = (type: (typeof typeUrls)[keyof typeof typeUrls]) => table.resources.get(type) ?? new Map()
    const clusters = of(typeUrls.cluster)
    for (const listener of of(typeUrls.listener).values()) {
      for (const name of listener.routes ?? []) if (!of(typeUrls.route).has(name)) lacks(proxy, listener.name, name)
      for (const name of listener.clusters ?? []) if (!clusters.has(name)) lacks(proxy, listener.name, name)
    }
    for (const cluster of clusters.values()) {
      const { assignment } = cluster
      if (assignment && !of(typeUrls.assignment).has(assignment)) lacks(proxy, cluster.name, assignment)
    }
  }

  const lacks = (proxy: string, resource: string, name: string) =>
    broken.push(`L9: ${proxy} was given ${resource}, which refers to ${name}, which it was not given`)

  return {
    connect(plane: ZonePlane): void {
      for (const proxy of proxiesOf(plane.zone)) {
        const stop = new AbortController()
        plane.process.onKill(() => stop.abort())
        void serve(plane, proxy, stop.signal)
      }
    },
    /** The table that an Envoy runs. */
    heldBy: (zone: string, name: string): ResolvedTable | undefined =>
      proxiesOf(zone).find(({ key }) => key.endsWith(`/${name}`))?.held,
    broken: (): readonly string[] => broken,
  }
}
export type Proxies = ReturnType<typeof createProxies>
