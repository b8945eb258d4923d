import type { Random } from '@zonemesh/shared/env/random.ts'
import type { Version } from '@zonemesh/shared/store/store.ts'
import { copyOf, createDisk, type Disk } from './disk.ts'
import { goodLink } from './network.ts'
import type { Scene } from './scene.ts'
import type { Workload } from './workload.ts'

/** One fault of a plan, as data, so that a plan can be recorded, shortened, and run again. */
export interface Fault {
  readonly atMs: number
  readonly type: FaultType
  /** A zone, or the number of a global. */
  readonly target: string
  readonly forMs: number
  /** In [0, 1): selects the exact variant. */
  readonly shade: number
}

export const faultTypes = [
  'partition',
  'one-way',
  'half-open',
  'flap',
  'break',
  'slow',
  'far',
  'repeat',
  'swap',
  'kill-zone',
  'kill-global',
  'crash-zone',
  'crash-global',
  'stall-zone',
  'stall-global',
  'clock',
  'zone-store-lost',
  'zone-store-old',
  'global-store-old',
  'global-store-lost',
  'mass-delete',
  'mass-delete-declared',
  'poison',
  'bug',
  'store-down',
  'write-fails',
  'bulk',
] as const
export type FaultType = (typeof faultTypes)[number]

const seldom: ReadonlySet<FaultType> = new Set(['global-store-old', 'global-store-lost', 'zone-store-old', 'bulk'])

/** Plans the faults, their targets and their times. */
export function planFaults(random: Random, scene: Pick<Scene, 'zones' | 'globalAddresses'>, chaosMs: number): Fault[] {
  const count = 3 + Math.floor(random.fraction() * 8)
  const pick = <T>(list: readonly T[]): T => {
    const found = list[Math.floor(random.fraction() * list.length)]
    if (found === undefined) throw new Error('nothing to pick from')
    return found
  }
  return Array.from({ length: count }, (): Fault => {
    let type = pick(faultTypes)
    if (seldom.has(type) && random.fraction() < 0.6) type = 'break'
    const isGlobal = type.includes('global')
    return {
      atMs: Math.floor(random.fraction() * chaosMs),
      type,
      target: isGlobal ? String(pick(scene.globalAddresses)) : pick(scene.zones),
      forMs: Math.floor(500 + random.fraction() * 14_000),
      shade: random.fraction(),
    }
  }).sort((a, b) => a.atMs - b.atMs)
}

export function createFaults(scene: Scene, workload: Workload) {
  const { world, network } = scene

  /** The time until which a process is kept down. */
  const downUntilMs = new Map<string, number>()
  const starting = new Map<string, number>()

  function keepDown(name: string, forMs: number): void {
    downUntilMs.set(name, Math.max(downUntilMs.get(name) ?? 0, world.now() + forMs))
  }

  function killZone(zone: string, forMs: number): void {
    keepDown(zone, forMs)
    scene.planes.get(zone)?.process.kill()
  }

  function killGlobal(index: number, forMs: number): void {
    keepDown(String(index), forMs)
    scene.globals.get(index)?.process.kill()
  }

  function killGlobals(forMs: number): void {
    for (const index of scene.globalAddresses) killGlobal(index, forMs)
  }

  /** A start that takes longer has failed. */
  const startMs = 3_000

  /** Starts processes that should run and do not, as an init system would. */
  function supervise(): void {
    const isDue = (name: string) =>
      world.now() >= (downUntilMs.get(name) ?? 0) && world.now() - (starting.get(name) ?? -startMs) >= startMs
    const start = (name: string, run: () => Promise<void>) => {
      starting.set(name, world.now())
      run().then(
        () => starting.delete(name),
        (cause: unknown) => world.note('start failed', name, String(cause)),
      )
    }
    for (const index of scene.globalAddresses) {
      if (!scene.globals.has(index) && isDue(String(index))) start(String(index), () => scene.startGlobal(index))
    }
    for (const zone of scene.zones) {
      if (scene.planes.has(zone) || !isDue(zone)) continue
      start(zone, async () => {
        await scene.startZone(zone)
        // Proxies register with every new process of their zone's plane; mostly nothing changes.
        void workload.foundZone(zone)
      })
    }
  }

  /** Returns the keys of the plane's own rows that are live in the other contents. */
  function exchange(plane: string, disk: Disk): readonly string[] {
    disk.life += 1
    const isKept = ([key, versions]: readonly [string, readonly Version[]]) =>
      key.startsWith(`${plane}/`) && versions.at(-1)?.state === 'live'
    const kept = [...disk.contents.versionsByKey].filter(isKept).map(([key]) => key)
    const revision = disk.contents.records.at(-1)?.position.revision ?? 0
    scene.record({ type: 'store-exchanged', plane, life: disk.life, kept, revision })
    return kept
  }

  const maker = world.createProcess('maker', { offsetMs: 0 })

  function inject(fault: Fault): void {
    const { type, target, forMs, shade } = fault
    world.note('fault', type, target, forMs)
    const link = network.linkOf(target)
    const index = Number(target)
    const after = (run: () => void) => world.at(forMs, run)
    switch (type) {
      case 'partition':
        link.up = false
        link.down = false
        return void after(() => Object.assign(link, { up: true, down: true }))
      case 'one-way':
        if (shade < 0.5) link.up = false
        else link.down = false
        return void after(() => Object.assign(link, { up: true, down: true }))
      case 'half-open':
        link.halfOpen = true
        link.up = false
        link.down = false
        return void after(() => Object.assign(link, { up: true, down: true, halfOpen: false }))
      case 'flap': {
        const flips = Math.ceil(forMs / 2_000)
        for (let flip = 0; flip < flips; flip += 1) {
          world.at(flip * 2_000, () => Object.assign(link, { up: flip % 2 === 1, down: flip % 2 === 1 }))
        }
        return void after(() => Object.assign(link, { up: true, down: true }))
      }
      case 'break':
        network.breakConnections(target)
        return
      case 'slow':
        link.rate = 1024 + shade * 7 * 1024
        return void after(() => {
          link.rate = undefined
        })
      case 'far':
        link.latencyMs = 150
        link.jitterMs = 100
        return void after(() => Object.assign(link, { latencyMs: 2, jitterMs: 3 }))
      case 'repeat':
        link.repeats = 0.05 + shade * 0.4
        return void after(() => {
          link.repeats = 0
        })
      case 'swap':
        link.swaps = 0.02 + shade * 0.2
        return void after(() => {
          link.swaps = 0
        })
      case 'kill-zone':
        if (shade < 0.3) link.halfOpen = true
        killZone(target, forMs)
        after(() => {
          link.halfOpen = false
        })
        return
      case 'kill-global':
        return void killGlobal(index, forMs)
      case 'crash-zone':
        scene.zoneDisk(target).crash = shade < 0.5 ? 'before' : 'after'
        scene.planes.get(target)?.process.onKill(() => keepDown(target, forMs))
        return
      case 'crash-global':
        scene.globalDisk.crash = shade < 0.5 ? 'before' : 'after'
        for (const [one, plane] of scene.globals) plane.process.onKill(() => keepDown(String(one), forMs))
        return
      case 'stall-zone':
        scene.planes.get(target)?.process.stall(5_000)
        return
      case 'stall-global':
        scene.globals.get(index)?.process.stall(5_000)
        return
      case 'clock': {
        const years = 365 * 24 * 3_600_000 * 10
        scene.wallOf(shade < 0.5 ? target : 'global-0').offsetMs += (world.random.fraction() * 2 - 1) * years
        return
      }
      case 'zone-store-lost': {
        killZone(target, forMs)
        const disk = scene.zoneDisk(target)
        disk.contents = createDisk(world, maker).contents
        exchange(target, disk)
        scene.lost.add(target)
        return
      }
      case 'zone-store-old': {
        const disk = scene.zoneDisk(target)
        disk.backup = copyOf(disk.contents)
        world.at(forMs, () => {
          killZone(target, 1_000)
          if (disk.backup) disk.contents = disk.backup
          exchange(target, disk)
        })
        return
      }
      case 'global-store-old': {
        const disk = scene.globalDisk
        disk.backup = copyOf(disk.contents)
        world.at(forMs, () => {
          killGlobals(1_000)
          if (disk.backup) disk.contents = disk.backup
          const kept = exchange('global', disk)
          if (kept.some((key) => key.startsWith('global/Zone/'))) return
          // The copy is of a lost store, from before its resources were written again, so they are written once more.
          scene.lost.add('global')
          world.at(3_000, () => workload.refound())
        })
        return
      }
      case 'global-store-lost': {
        killGlobals(forMs)
        const disk = scene.globalDisk
        disk.contents = createDisk(world, maker).contents
        exchange('global', disk)
        scene.lost.add('global')
        world.at(forMs + 2_000, () => workload.refound())
        return
      }
      case 'mass-delete':
        workload.massDelete(false)
        return
      case 'mass-delete-declared':
        workload.massDelete(true)
        return
      case 'poison':
        workload.poison()
        return
      case 'bug':
        scene.buggyZones.add(target)
        killZone(target, 100)
        world.at(3_000, () => workload.wakeBug())
        return
      case 'bulk':
        return void workload.bulk()
      case 'write-fails': {
        // A large write is in progress, and its operator restarts a process soon after the first failure of the disk.
        const isZone = shade < 0.7
        const disk = isZone ? scene.zoneDisk(target) : scene.globalDisk
        const restart = () => (isZone ? killZone(target, 500) : killGlobals(500))
        let isFirst = true
        const onFailure = () => {
          if (isFirst) world.at(2 + world.random.fraction() * 1_500, restart)
          isFirst = false
        }
        disk.failing = { share: 0.2 + shade * 0.4, onFailure }
        workload.bulk()
        return void after(() => {
          disk.failing = undefined
        })
      }
      case 'store-down': {
        const disk = shade < 0.5 ? scene.zoneDisk(target) : scene.globalDisk
        disk.isDown = true
        return void after(() => {
          disk.isDown = false
        })
      }
    }
  }

  return {
    inject,
    /** Repairs all lines and disks, and starts every process. */
    heal(): void {
      world.note('heal')
      downUntilMs.clear()
      for (const zone of scene.zones) {
        Object.assign(network.linkOf(zone), goodLink(), { rate: undefined })
        Object.assign(scene.zoneDisk(zone), { isDown: false, failing: undefined, crash: undefined })
      }
      Object.assign(scene.globalDisk, { isDown: false, failing: undefined, crash: undefined })
    },
    supervise,
    /** An operator checks what is held and releases it. */
    release(): void {
      for (const { zone, uplink } of scene.planes.values()) {
        const hold = uplink.state.value.hold
        if (!hold) continue
        world.note('release', zone, hold.id)
        scene.record({ type: 'released', zone })
        uplink.release(hold.id)
      }
    },
  }
}
