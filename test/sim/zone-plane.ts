import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import type { SecretNeed } from '@zonemesh/core/emit/table.ts'
import { createAddressBook } from '@zonemesh/core/names/address-book.ts'
import { createClosers } from '@zonemesh/plane/lifecycle.ts'
import { sightRules } from '@zonemesh/plane/sight.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { leadAlone } from '@zonemesh/shared/leader/election.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { nothingServed, type ServedStatus } from '@zonemesh/shared/sync/served-status.ts'
import { startUplink, type Uplink } from '@zonemesh/shared/sync/uplink.ts'
import { openDerivingStore } from '@zonemesh/zone/commits/deriving-store.ts'
import { type CoreKeys, startCore, type ZoneCore } from '@zonemesh/zone/core.ts'
import { createGrants } from '@zonemesh/zone/names/grants.ts'
import { openDisk } from './disk.ts'
import { simulatedPacking, simulatedQueries } from './queries.ts'
import type { Scene } from './scene.ts'
import type { Process } from './world.ts'

/** One process of a zone: the real uplink, derivations and core over its disk. */
export interface ZonePlane {
  readonly zone: string
  readonly process: Process
  readonly store: Store
  readonly core: ZoneCore
  readonly uplink: Uplink
}

/** Certificates are available at once, because the simulation does not test keys. */
const keys = (): CoreKeys => ({
  secrets: {
    resolve: ({ name }: SecretNeed) => ({ name, bytes: new Uint8Array(), version: '0'.repeat(16) }),
    identityOf: () => undefined,
    identities: () => [],
    forget: () => {},
    close: () => {},
  },
  certificates: { verdicts: () => [] },
  sent: () => {},
  served: () => false,
  gone: () => {},
  rotations: () => [],
  uses: () => ({}),
  wake: () => {},
  close: () => {},
})

export async function startZonePlane(scene: Scene, zone: string): Promise<ZonePlane> {
  const { world, network, options } = scene
  const disk = scene.zoneDisk(zone)
  const process = world.createProcess(zone, scene.wallOf(zone))
  const raw = openDisk(world, process, disk, {
    plane: zone,
    sabotage: options.sabotage,
    horizonRevisions: options.horizonRevisions,
    onWritten: (written) => scene.written(zone, disk, written),
  })
  const { clock, random } = process
  const life = `${zone} started at ${world.now()}`
  const env = { clock, random, log: silentLog }
  const quarantineMs = options.sabotage.quarantineMs ?? options.quarantineMs
  const book = createAddressBook({ zone, quarantineMs, isGranted: options.sabotage.grantsNothing !== true })
  const derivations = [createAnnouncements({ zone }), book]
  const store = await openDerivingStore(env, raw, derivations)
  const grants = createGrants({ clock, store, book })
  const { stallsOn, servesAnything } = options.sabotage
  const faultPoint = (_unit: string, reads: readonly string[]) => {
    if (stallsOn && reads.some(stallsOn)) process.stall(2_000)
    if (scene.isPoisonFor(zone) && reads.some((read) => read.includes('/poison-')))
      throw new TypeError('planted: a bug of this compiler')
  }
  const role = servesAnything ? 'standalone' : 'zone'
  const core = await startCore(
    { ...env, zone, role, store, leadership: leadAlone(zone) },
    createClosers(silentLog),
    keys,
    faultPoint,
  )
  const served = createLatest<ServedStatus>(nothingServed)
  core.reporter.onUpdate((next) => served.set(next))
  const report = createLatest(grants.entries)
  grants.onNumbers(() => report.set(grants.entries))
  const uplink = startUplink(
    {
      ...env,
      store,
      rules: sightRules,
      served,
      report,
      grants,
      queries: simulatedQueries(zone),
      packing: simulatedPacking,
      onUnknownPosition: () => core.reporter.forgetServed(),
      onApplied({ position, localMark }) {
        core.reporter.applied(position, localMark.revision)
        // A restored global assigns the same epochs again, and a process has the name of its predecessor.
        const session = `${life} ${scene.globalDisk.life} ${uplink.state.value.epoch ?? 0}`
        scene.applied(zone, session, position)
      },
    },
    {
      dialer: network.dialer(zone, process, zone, scene.globalAddresses),
      zone,
      version: 'sim',
      hostname: zone,
    },
  )
  grants.follow(() => uplink)
  return { zone, process, store, core, uplink }
}

export const proxyText = (zone: string, mesh: string, name: string): string => keyText(dataplaneKey(zone, name, mesh))

export const dataplaneKey = (zone: string, name: string, mesh = 'default'): ResourceKey => ({
  origin: zone,
  kind: 'Dataplane',
  mesh,
  name,
})
