import { join } from 'node:path'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { ZoneName } from '../demo/planes.ts'
import type { StartLines } from '../demo/run.ts'
import { local } from '../demo/stage.ts'
import { startControl } from './control.ts'
import { type Relay, startRelay } from './relay.ts'
import { writeStack } from './stack.ts'
import { createSupervisor } from './supervisor.ts'

/** Puts a relay between each zone of a demo and its global, and starts a control that injects faults. */
export const startChaosLines: StartLines = async (stage, syncPort, zones) => {
  const lines = new Map<string, Relay>()
  for (const zone of zones) {
    const given = { host: local, port: stage.port(), targetHost: local, targetPort: syncPort }
    const relay = await startRelay({ clock: systemClock, random: systemRandom }, given)
    stage.onStop(() => relay[Symbol.asyncDispose]())
    lines.set(zone, relay)
  }
  const supervisor = createSupervisor(stage.processes, ['global', ...zones.map((zone) => `zone-${zone}`)])
  const token = Buffer.from(systemRandom.bytes(24)).toString('base64url')
  const control = await startControl({ lines, supervisor }, { host: local, port: stage.port(), token })
  stage.onStop(() => control[Symbol.asyncDispose]())
  return {
    portOf: (zone: ZoneName) => lines.get(zone)?.port,
    write: ({ globalAddress, adminToken, zones: places, gatewayPort }) => {
      const { scene, folder } = stage
      const { mesh, gateway, hostname } = scene
      return writeStack(folder, {
        version: 1,
        folder,
        token: adminToken,
        control: { address: control.address, token },
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
          listener: scene.listenerTag,
          hostname,
          entrance: `${local}:${gatewayPort}`,
          services: [
            { service: scene.service, zone: 'west' },
            { service: scene.client, zone: 'east' },
          ],
        },
      })
    },
  }
}
