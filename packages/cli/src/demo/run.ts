import { findEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import type { Client } from '../base/client.ts'
import { claimedResolver, startDelegatedGateway } from './delegated.ts'
import { applyPolicies, type DemoZone, startGlobalProcess, startZoneProcess, type ZoneName } from './planes.ts'
import type { Processes } from './processes.ts'
import { createProxies } from './proxies.ts'
import type { Scene } from './scene.ts'
import { createStage, local, type Stage, type Steps } from './stage.ts'

/** The addresses of a running demo. */
export interface Demo {
  readonly scene: Scene
  readonly folder: string
  readonly global: Client
  readonly globalAddress: string
  readonly adminTokenFile: string
  readonly zones: Readonly<Record<ZoneName, DemoZone>>
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
  readonly globalAddress: string
  readonly adminToken: string
  readonly zones: Readonly<Record<ZoneName, DemoZone>>
  readonly gatewayPort: number
}

/** Puts a relay into the line between each zone and the global, in which `zonemesh chaos` injects faults. */
export type StartLines = (
  stage: Stage,
  syncPort: number,
  zones: readonly ZoneName[],
) => Promise<{
  /** The port to which a zone connects instead of the sync port. */
  portOf(zone: ZoneName): number | undefined
  /** Writes the stack file, with which another process finds the demo. */
  write(places: DemoPlaces): string
}>

/** Starts a global, two zones and their proxies as processes on this machine, and the services behind them. */
export async function startDemo(
  scene: Scene,
  folder: string,
  steps: Steps,
  signal: AbortSignal,
  startLines?: StartLines,
): Promise<Demo> {
  const progress = (line: string) => void process.stderr.write(`${line}\n`)
  process.env['ZONEMESH_ENVOY'] = await findEnvoy({ env: process.env, progress }, signal)
  const stage = await createStage(scene, folder, steps, signal)
  try {
    return await startScene(stage, startLines)
  } catch (thrown) {
    await stage.stop()
    throw thrown
  }
}

async function startScene(stage: Stage, startLines: StartLines | undefined): Promise<Demo> {
  const { scene, folder, gatewayPort, variables, processes } = stage
  const { global, address, adminToken, adminTokenFile, syncPort } = await startGlobalProcess(stage)
  const lines = await startLines?.(stage, syncPort, ['east', 'west'])
  const east = await startZoneProcess(stage, global, lines?.portOf('east') ?? syncPort, 'east')
  const west = await startZoneProcess(stage, global, lines?.portOf('west') ?? syncPort, 'west')
  const zones = { east, west }
  await applyPolicies(stage, global)

  const proxies = await createProxies(stage, global, zones)
  const ingress = () => ({ port: stage.port(), advertisedAddress: local })
  const clientOutboundPort = stage.port()
  await proxies.start('east', 'gateway-1', 'gateway.yaml', {})
  await proxies.start('west', 'ingress-west', 'ingress.yaml', ingress(), 'ingress')
  await proxies.start('west', 'echo-1', 'service.yaml', await proxies.service('west', scene.service, scene.version1))
  await proxies.start('west', 'echo-2', 'service.yaml', await proxies.service('west', scene.service, scene.version2))
  const delegatedDir = await proxies.start('east', 'shop-1', 'delegated.yaml', {})
  const client = { ...(await proxies.service('east', scene.client, '')), outboundPort: clientOutboundPort }
  await proxies.start('east', 'client-1', 'client.yaml', client)
  await proxies.start('east', 'ingress-east', 'ingress.yaml', ingress(), 'ingress')

  const sidecarResolver = await stage.orFail(claimedResolver(delegatedDir))
  const delegatedPort = stage.port()
  const delegatedKind = await startDelegatedGateway(stage, sidecarResolver, delegatedPort)
  const ports = { gatewayPort, delegatedPort, clientOutboundPort }
  const places = { globalAddress: address, adminTokenFile, zones, sidecarResolver }
  const stackFile = lines?.write({ globalAddress: address, adminToken, zones, gatewayPort })
  return {
    stackFile,
    scene,
    folder,
    global,
    ...places,
    ...ports,
    delegatedKind,
    variables,
    processes,
    stop: () => stage.stop(),
  }
}
