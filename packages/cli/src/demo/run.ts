import { join } from 'node:path'
import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import type { Client } from '../base/client.ts'
import { adminTokenOf, type ZonePlace } from '../scene/planes.ts'
import { blockPorts } from '../scene/ports.ts'
import type { Processes } from '../scene/processes.ts'
import { claimedResolver } from '../scene/resolver.ts'
import { readSceneFile, type SceneProxy } from '../scene/scene-file.ts'
import { createStage, type Stage, type Steps } from '../scene/stage.ts'
import { startScene } from '../scene/start.ts'
import { startDelegatedGateway } from './delegated.ts'
import { demoFolder } from './files.ts'
import { publishDemo } from './folder.ts'
import type { DemoNames } from './names.ts'

export type ZoneName = 'east' | 'west'

/** The addresses of a running demo. */
export interface Demo {
  readonly names: DemoNames
  readonly folder: string
  readonly global: Client
  readonly globalAddress: string
  readonly adminTokenFile: string
  readonly zones: Readonly<Record<ZoneName, ZonePlace>>
  readonly gatewayPort: number
  readonly delegatedPort: number
  readonly delegatedKind: 'nginx' | 'node'
  readonly clientOutboundPort: number
  /** The resolver beside the delegated gateway's sidecar. */
  readonly sidecarResolver: string
  readonly variables: Readonly<Record<string, string>>
  readonly processes: Processes
  /** The stack file for `zonemesh chaos`, if the demo was started with it. */
  readonly stackFile: string | undefined
  /** Stops every process, and the services in this process. */
  stop(): Promise<void>
}

/** The addresses and the token that the stack file of a demo needs. */
export interface DemoPlaces {
  readonly names: DemoNames
  readonly globalAddress: string
  readonly adminToken: string
  readonly zones: Readonly<Record<ZoneName, ZonePlace>>
  readonly gatewayPort: number
  readonly delegatedPort: number
  readonly proxies: readonly SceneProxy[]
}

/** Puts a relay into the line between each zone and the global, in which `zonemesh chaos` injects faults. */
export type StartLines = (
  stage: Stage,
  syncPort: number,
  zones: readonly ZoneName[],
) => Promise<{
  /** The port to which a zone connects instead of the sync port. */
  portOf(zone: string): number | undefined
  /** Writes the stack file, with which another process finds the demo. */
  write(places: DemoPlaces): string
}>

const portsOfDemo = 40

/** Starts a global, two zones and their proxies as processes on this machine, and the services behind them. */
export async function startDemo(
  names: DemoNames,
  folder: string,
  steps: Steps,
  signal: AbortSignal,
  startLines?: StartLines,
): Promise<Demo> {
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  process.env['ZONEMESH_ENVOY'] = await findEnvoy({ env: process.env, progress }, signal)
  const port = await blockPorts(systemRandom, portsOfDemo)
  const stage = createStage({ folder, steps, port }, signal)
  try {
    return await start(stage, names, startLines)
  } catch (thrown) {
    await stage.stop()
    throw thrown
  }
}

async function start(stage: Stage, names: DemoNames, startLines: StartLines | undefined): Promise<Demo> {
  const { folder, processes } = stage
  const gatewayPort = stage.port('gateway')
  const variables = textsOf({ ...names, gatewayPort, version: names.version1 })
  const scene = await readSceneFile(join(demoFolder, 'scene.yaml'), variables).complete(stage.port)
  let lines: Awaited<ReturnType<StartLines>> | undefined
  const running = await startScene(stage, scene, async (syncPort) => {
    lines = await startLines?.(stage, syncPort, ['east', 'west'])
    return lines ?? { portOf: () => undefined }
  })
  const { global, globalAddress } = running
  const zones = { east: placeOf(running.zones, 'east'), west: placeOf(running.zones, 'west') }
  const { adminToken, adminTokenFile } = await adminTokenOf(global, folder)
  const sidecarResolver = await stage.orFail(claimedResolver(join(folder, 'shop-1')))
  const delegatedPort = stage.port()
  const delegatedKind = await startDelegatedGateway(stage, names, sidecarResolver, delegatedPort)
  const ports = { gatewayPort, delegatedPort, clientOutboundPort: stage.port('client-1.outbound') }
  const places = { globalAddress, adminTokenFile, zones, sidecarResolver }
  publishDemo(folder, {
    globalAddress,
    tokenFile: adminTokenFile,
    gateway: `http://127.0.0.1:${gatewayPort}`,
    host: names.hostname,
    resolver: `127.0.0.1:${zones.east.dnsPort}`,
  })
  const stackFile = lines?.write({
    ...{ names, globalAddress, adminToken, zones, gatewayPort, delegatedPort, proxies: scene.proxies },
  })
  return {
    ...{ names, folder, global, ...places, ...ports, delegatedKind, variables, processes, stackFile },
    stop: () => stage.stop(),
  }
}

const textsOf = (values: Readonly<Record<string, string | number>>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, String(value)]))

function placeOf(zones: ReadonlyMap<string, ZonePlace>, zone: ZoneName): ZonePlace {
  const place = zones.get(zone)
  if (!place) throw new Error(`invariant broken: demo/scene.yaml has no zone ${zone}`)
  return place
}
