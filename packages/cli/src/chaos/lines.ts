import { join } from 'node:path'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { StartLines } from '../demo/run.ts'
import { serviceRole } from '../scene/proxies.ts'
import { local, type SceneProxy } from '../scene/scene-file.ts'
import { startControl } from './control.ts'
import { type Relay, startRelay } from './relay.ts'
import { writeStack } from './stack.ts'
import { createSupervisor } from './supervisor.ts'
import type { Target } from './targets.ts'

/** The proxy of a scene, and the service behind it if there is one. */
function targetsOf({ name, zone, kind, resource, echo }: SceneProxy): readonly Target[] {
  if (kind === 'ZoneEgress') return []
  const { gateway, inbound } = Object(resource['networking'])
  const tags: unknown = (gateway ?? inbound?.[0])?.tags
  const tag = (key: string): string | undefined => {
    const value: unknown = Reflect.get(Object(tags), key)
    return typeof value === 'string' ? value : undefined
  }
  const common = { zone, service: tag('kuma.io/service'), version: tag('version') }
  const proxy = `${zone}/${kind}/${String(resource['mesh'] ?? '')}/${name}`
  const target: Target = {
    ...common,
    name,
    proxy,
    kind: kind !== 'Dataplane' ? 'ingress' : gateway ? 'gateway' : 'sidecar',
  }
  if (!echo) return [target]
  return [target, { ...common, name: serviceRole(name), kind: 'service', address: `${local}:${echo.port}` }]
}

/** Puts a relay between each zone of a demo and its global, and starts a control that injects faults. */
export const startChaosLines: StartLines = async (stage, syncPort, zones) => {
  const lines = new Map<string, Relay>()
  for (const zone of zones) {
    const given = { host: local, port: stage.port(), targetHost: local, targetPort: syncPort }
    const relay = await startRelay({ clock: systemClock, random: systemRandom }, given)
    stage.onStop(() => relay[Symbol.asyncDispose]())
    lines.set(zone, relay)
  }
  const supervisor = createSupervisor(stage)
  const token = Buffer.from(systemRandom.bytes(24)).toString('base64url')
  const control = await startControl({ lines, supervisor }, { host: local, port: stage.port(), token })
  stage.onStop(() => control[Symbol.asyncDispose]())
  return {
    portOf: (zone) => lines.get(zone)?.port,
    write: ({ names, globalAddress, adminToken, zones: places, gatewayPort, delegatedPort, proxies }) => {
      const { folder } = stage
      const { mesh, gateway, hostname } = names
      return writeStack(folder, {
        version: 1,
        folder,
        token: adminToken,
        control: { address: control.address, token },
        parts: [],
        global: { api: globalAddress, storeFile: join(folder, 'global/store.db') },
        zones: Object.fromEntries(
          Object.entries(places).map(([zone, { apiAddress, dnsPort }]) => [
            zone,
            { api: apiAddress, dns: `${local}:${dnsPort}` },
          ]),
        ),
        scene: {
          mesh,
          gateway,
          listener: names.listenerTag,
          hostname,
          entrance: `${local}:${gatewayPort}`,
          services: [
            ...[undefined, names.version1, names.version2].map((version) => ({
              ...{ service: names.service, zone: 'west', version },
            })),
            { service: names.client, zone: 'east' },
            {
              ...{ service: names.service, zone: 'west' },
              ...{ entrance: `${local}:${delegatedPort}`, gateway: names.delegated },
            },
          ],
          targets: proxies.flatMap(targetsOf),
        },
      })
    },
  }
}
