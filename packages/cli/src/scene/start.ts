import type { Client } from '../base/client.ts'
import { startGlobalProcess, startZoneProcess, type ZonePlace } from './planes.ts'
import { applyPolicies } from './policies.ts'
import { startSceneProxy } from './proxies.ts'
import type { Scene } from './scene-file.ts'
import type { Stage } from './stage.ts'

/** The planes of a running scene. */
export interface RunningScene {
  readonly global: Client
  readonly globalAddress: string
  readonly zones: ReadonlyMap<string, ZonePlace>
}

/** Puts something into the line between each zone and the global. */
export type Lines = (syncPort: number) => Promise<{
  /** The port to which a zone connects instead of the sync port. */
  portOf(zone: string): number | undefined
}>

/**
 * Starts a global, its zones and their proxies as processes on this machine, and applies the policies of the scene.
 * Resolves when all zones have stored the policies and all processes have started.
 */
export async function startScene(stage: Stage, scene: Scene, lines?: Lines): Promise<RunningScene> {
  const { global, address, syncPort } = await startGlobalProcess(stage)
  const line = await lines?.(syncPort)
  const zones = new Map<string, ZonePlace>()
  for (const zone of scene.zones)
    zones.set(zone, await startZoneProcess(stage, global, line?.portOf(zone) ?? syncPort, zone))
  await applyPolicies(stage, global, scene.policies, scene.zones)
  for (const proxy of scene.proxies) {
    const place = zones.get(proxy.zone)
    if (place) await startSceneProxy(stage, global, place, proxy)
  }
  return { global, globalAddress: address, zones }
}
