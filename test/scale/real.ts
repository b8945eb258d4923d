import { sightRules } from '@zonemesh/plane/sight.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import type { Applied } from '@zonemesh/shared/sync/applications.ts'
import { decodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import { nothingServed, type ServedStatus } from '@zonemesh/shared/sync/served-status.ts'
import { startSyncServer } from '@zonemesh/shared/sync/server.ts'
import { startUplink } from '@zonemesh/shared/sync/uplink.ts'
import type { Channel } from '@zonemesh/shared/transport/transport.ts'
import { createNetwork } from '../sim/network.ts'
import { createWorld } from '../sim/world.ts'
import { bookmarkEveryMs } from './hub.ts'
import type { Put } from './rows.ts'

/** Frames and bytes of one type in one direction. */
export interface Traffic {
  frames: number
  bytes: number
}

/** By direction and type of frame: `down rows`. */
export type TrafficByType = ReadonlyMap<string, Traffic>

/** The real sync server and real uplinks on virtual time, without proxies. All of their frames are counted. */
export async function startRealGlobal(zones: readonly string[], seed: number) {
  const world = createWorld(seed)
  const traffic = new Map<string, Traffic>()
  const count = (direction: 'up' | 'down', bytes: Uint8Array) => {
    const name = `${direction} ${decodeMessage(bytes)?.type}`
    const one = traffic.get(name) ?? { frames: 0, bytes: 0 }
    traffic.set(name, { frames: one.frames + 1, bytes: one.bytes + bytes.length })
  }
  const counted = (channel: Channel): Channel => ({
    ...channel,
    send(bytes) {
      count('down', bytes)
      return channel.send(bytes)
    },
    onMessage: (listener) =>
      channel.onMessage(
        listener &&
          ((bytes) => {
            count('up', bytes)
            listener(bytes)
          }),
      ),
  })
  const network = createNetwork(world, {})
  const wall = { offsetMs: 0 }
  const process = world.createProcess('global', wall)
  const store = createMemoryStore({ clock: process.clock, random: process.random })
  const server = await startSyncServer(
    {
      ...{ store, clock: process.clock, log: silentLog, rules: sightRules },
      authenticate: async (token) => ({ ok: true, value: { zone: token } }),
    },
    {
      listen: [
        (onCall) =>
          network.listen(0, process)((caller, accept, refuse) => onCall(caller, () => counted(accept()), refuse)),
      ],
      version: 'scale',
      hostname: 'global',
    },
  )
  const storeByZone = new Map<string, Store>()
  for (const [index, zone] of zones.entries()) {
    const own = world.createProcess(zone, wall)
    const env = { clock: own.clock, random: own.random, log: silentLog }
    const zoneStore = createMemoryStore(env)
    storeByZone.set(zone, zoneStore)
    // Without proxies, a zone serves what it has stored.
    const served = createLatest<ServedStatus>(nothingServed)
    const onApplied = ({ position }: Applied) => served.set({ ...nothingServed, served: position })
    const start = () =>
      startUplink(
        { ...env, store: zoneStore, rules: sightRules, served, onApplied },
        { dialer: network.dialer(zone, own, zone, [0]), zone, version: 'scale', hostname: zone },
      )
    // One after the other, so that their bookmarks are spread over time.
    world.at((index * bookmarkEveryMs) / zones.length, () => void start())
  }
  return {
    world,
    server,
    store,
    storeByZone,
    takeTraffic(): TrafficByType {
      const taken = new Map(traffic)
      traffic.clear()
      return taken
    },
    /** Writes a row to the store that owns it, at this time. */
    writeAt(atMs: number, put: Put): void {
      const owner = put.key.origin === globalOrigin ? store : storeByZone.get(put.key.origin)
      world.at(atMs - world.now(), () => void owner?.commit({ changes: [put], subject: 'scale', intent: 'scale' }))
    },
  }
}
