import { sightRules } from '@zonemesh/plane/sight.ts'
import { canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import type { HistoryEvent, SeenVersion } from '@zonemesh/shared/guarantees/history.ts'
import { seen } from '@zonemesh/shared/guarantees/history.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Position, Version } from '@zonemesh/shared/store/store.ts'
import { positionFrom, positionKind } from '@zonemesh/shared/sync/log/rounds.ts'
import { createDisk, type Disk, type Written } from './disk.ts'
import { type GlobalPlane, startGlobalPlane } from './global-plane.ts'
import { createNetwork, type Network } from './network.ts'
import { createProxies, type Proxies } from './proxies.ts'
import type { Sabotage } from './sabotage.ts'
import { createWorld, type World } from './world.ts'
import { startZonePlane, type ZonePlane } from './zone-plane.ts'

export interface SceneOptions {
  readonly zones: number
  readonly globals: number
  readonly horizonRevisions: number
  readonly formerStayMs: number
  readonly quarantineMs: number
  readonly sabotage: Sabotage
}

/** The state of a simulation: the world, the disks, and the live processes. */
export interface Scene {
  readonly world: World
  readonly network: Network
  readonly options: SceneOptions
  readonly zones: readonly string[]
  readonly globalAddresses: readonly number[]
  readonly globalDisk: Disk
  readonly history: HistoryEvent[]
  readonly globals: Map<number, GlobalPlane>
  readonly planes: Map<string, ZonePlane>
  readonly proxies: Proxies
  zoneDisk(zone: string): Disk
  wallOf(process: string): { offsetMs: number }
  isPoisonFor(zone: string): boolean
  /** Zones whose compiler has a bug that some rows trigger. */
  readonly buggyZones: Set<string>
  /** Planes that have permanently lost their store. */
  readonly lost: Set<string>
  record(event: HistoryEvent extends infer E ? (E extends HistoryEvent ? Omit<E, 'atMs'> : never) : never): void
  written(plane: string, disk: Disk, written: Written): void
  applied(zone: string, session: string, position: Position): void
  startGlobal(index: number): Promise<void>
  startZone(zone: string): Promise<void>
}

const hashes = new WeakMap<object, string>()

function contentOf(version: Version): string {
  const { row } = version
  if (!row) return version.state
  const known = hashes.get(row.spec)
  if (known) return known
  const made = shortHash(canonicalJson(row.spec))
  hashes.set(row.spec, made)
  return made
}

/**
 * The rows of the global that every zone must hold. Kinds that zones see only in part are excluded, because a judge
 * cannot decide about them.
 */
export const isForAllZones = ({ key }: SeenVersion): boolean => {
  const { kind } = parseKeyText(key)
  return sightRules.travelOf(kind) === 'global-to-zones' && !sightRules.seenBy?.has(kind)
}

const seenVersion = (version: Version): SeenVersion => seen(version, contentOf(version))

export function createScene(seed: number, options: SceneOptions): Scene {
  const world = createWorld(seed)
  const network = createNetwork(world, options.sabotage)
  const zones = Array.from({ length: options.zones }, (_, index) => `z${index}`)
  const walls = new Map<string, { offsetMs: number }>()
  const disks = new Map<string, Disk>()
  const history: HistoryEvent[] = []
  const globals = new Map<number, GlobalPlane>()
  const planes = new Map<string, ZonePlane>()
  const buggyZones = new Set<string>()
  const maker = world.createProcess('world', { offsetMs: 0 })

  const scene: Scene = {
    world,
    network,
    options,
    zones,
    globalAddresses: Array.from({ length: options.globals }, (_, index) => index),
    globalDisk: createDisk(world, maker),
    history,
    globals,
    planes,
    buggyZones,
    lost: new Set(),
    get proxies() {
      return proxies
    },
    zoneDisk(zone) {
      const disk = disks.get(zone) ?? createDisk(world, maker)
      disks.set(zone, disk)
      return disk
    },
    wallOf(process) {
      const wall = walls.get(process) ?? { offsetMs: 0 }
      walls.set(process, wall)
      return wall
    },
    isPoisonFor: (zone) => buggyZones.has(zone),
    record(event) {
      // Each member of the union with its time is a member again.
      history.push({ ...event, atMs: world.now() } as HistoryEvent)
    },
    written(plane, disk, written) {
      const { store, revision, isMark, versions } = written
      world.note('written', plane, revision, written.subject, versions.length, versions[0]?.key.name)
      scene.record({
        type: 'written',
        plane,
        store,
        life: disk.life,
        revision,
        mark: isMark,
        versions: versions.map(seenVersion),
      })
      const position = positionFrom(versions.find(({ key }) => key.kind === positionKind && key.origin === plane))
      if (position && plane !== 'global') scene.applied(plane, `${plane} disk ${disk.life}`, position)
    },
    applied(zone, session, { store, revision }) {
      world.note('applied', zone, revision)
      scene.record({ type: 'applied', zone, session, store, revision })
    },
    async startGlobal(index) {
      world.note('start', `global-${index}`)
      const plane = await startGlobalPlane(scene, index)
      globals.set(index, plane)
      plane.process.onKill(() => {
        if (globals.get(index) === plane) globals.delete(index)
      })
    },
    async startZone(zone) {
      world.note('start', zone)
      const plane = await startZonePlane(scene, zone)
      planes.set(zone, plane)
      plane.process.onKill(() => {
        if (planes.get(zone) === plane) planes.delete(zone)
      })
      proxies.connect(plane)
    },
  }
  const proxies = createProxies(scene)
  return scene
}
