import { join } from 'node:path'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { StartLines } from '../demo/run.ts'
import { local } from '../scene/scene-file.ts'
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
    portOf: (zone) => lines.get(zone)?.port,
    write: ({ names, globalAddress, adminToken, zones: places, gatewayPort }) => {
      const { folder } = stage
      const { mesh, gateway, hostname } = names
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
          listener: names.listenerTag,
          hostname,
          entrance: `${local}:${gatewayPort}`,
          services: [
            { service: names.service, zone: 'west' },
            { service: names.client, zone: 'east' },
          ],
        },
      })
    },
  }
}
