import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Store } from '@zonemesh/shared/store/store.ts'
import { badRoute, bulk, globalBase, isRemoved, pair, route, routeKey, sidecar, zoneBase } from './content.ts'
import type { GlobalPlane } from './global-plane.ts'
import type { Scene } from './scene.ts'
import { dataplaneKey } from './zone-plane.ts'

const churns = 6

/** The writes of users and proxies. */
export function createWorkload(scene: Scene) {
  const { world } = scene
  const chance = () => world.random.fraction()
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(chance() * list.length)]
  let pairs = 0
  let poisons = 0
  let bulks = 0

  const commit = (store: Store, subject: string, changes: readonly Change[], declared = false) =>
    store
      .commit({ changes, subject, intent: 'simulated', ...(declared ? { declared: true } : {}) })
      .catch(() => undefined)

  /** A user sometimes requests a receipt and relies on it. */
  async function watch(plane: GlobalPlane, done: ReturnType<typeof commit>): Promise<void> {
    const outcome = await done
    if (!outcome?.ok || chance() > 0.3) return
    const { store, revision } = outcome.position
    const level = chance() < 0.5 ? 'stored' : 'served'
    const wait = { revision, level, zones: scene.zones, timeoutMs: 5_000 } as const
    const committedAtMs = world.now()
    for (const receipt of await plane.sync.waitFor(wait, new AbortController().signal)) {
      if (receipt.state !== 'done' || !plane.process.isAlive()) continue
      scene.record({ type: 'receipt', by: 'a receipt', level, zone: receipt.zone, store, revision })
      scene.record({ type: 'lag', zone: receipt.zone, ms: world.now() - committedAtMs })
    }
  }

  function onGlobal(changes: readonly Change[], declared = false): void {
    const plane = pick([...scene.globals.values()])
    if (plane) void watch(plane, commit(plane.store, 'anna', changes, declared))
  }

  function onZone(zone: string, changes: readonly Change[]): void {
    const plane = scene.planes.get(zone)
    if (plane) void commit(plane.store, `a proxy of ${zone}`, changes)
  }

  function writePair(): void {
    pairs += 1
    onGlobal(pair(pairs))
  }

  function change(): void {
    const drawn = chance()
    const name = `r${Math.floor(chance() * 16)}`
    if (drawn < 0.35) onGlobal([route(name, `/${Math.floor(chance() * 100)}`, `stable-${pick(scene.zones)}`)])
    else if (drawn < 0.45) onGlobal([isRemoved(routeKey(name))])
    else if (drawn < 0.6) writePair()
    else {
      const zone = pick(scene.zones) ?? ''
      const index = Math.floor(chance() * churns)
      const instance = `churn-${index}-1`
      onZone(
        zone,
        chance() < 0.5
          ? [sidecar(zone, instance, `churn-${index}`, 10 + index)]
          : [isRemoved(dataplaneKey(zone, instance))],
      )
    }
  }

  return {
    /** Writes the rows of the start. */
    async found(): Promise<void> {
      const [plane] = scene.globals.values()
      if (plane) await commit(plane.store, 'anna', globalBase(scene.zones))
    },
    /** Registers the proxies of a zone with its process. They try again until it accepts them. */
    async foundZone(zone: string): Promise<void> {
      const plane = scene.planes.get(zone)
      while (plane?.process.isAlive()) {
        const outcome = await commit(plane.store, `proxies of ${zone}`, zoneBase(zone))
        if (outcome?.ok) return
        await plane.process.sleep(500)
      }
    },
    change,
    /** Deletes most routes at once: declared, or by mistake without the guard of the API. */
    massDelete(declared: boolean): void {
      onGlobal(
        Array.from({ length: 15 }, (_, index) => isRemoved(routeKey(`r${index}`))),
        declared,
      )
    },
    /** Writes more rows at once than fit into one part of a round. */
    bulk(): void {
      bulks += 1
      const plane = pick([...scene.globals.values()])
      if (!plane) return
      const changes = bulk(bulks)
      const parts = [0, 1_000, 2_000].map((at) => ({
        changes: changes.slice(at, at + 1_000),
        subject: 'anna',
        intent: 'simulated',
      }))
      void plane.store.commitRound(parts).catch(() => undefined)
    },
    poison(): void {
      poisons += 1
      onGlobal([badRoute(`bad-${poisons}`)])
    },
    /** Writes a row that triggers the bug of a zone's compiler. */
    wakeBug(): void {
      poisons += 1
      onGlobal([route(`poison-${poisons}`, `/poison-${poisons}`, `stable-${scene.zones[0]}`)])
    },
    /** Writes the resources again after the store of the global is lost, until a global has accepted them. */
    refound(): void {
      const again = () => world.at(500, () => this.refound())
      const plane = pick([...scene.globals.values()])
      if (!plane) return void again()
      let isTaken = false
      plane.process.onKill(() => !isTaken && again())
      void commit(plane.store, 'anna', globalBase(scene.zones)).then((outcome) => {
        isTaken = outcome?.ok === true
        if (!isTaken) again()
      })
    },
    origin: globalOrigin,
  }
}
export type Workload = ReturnType<typeof createWorkload>
