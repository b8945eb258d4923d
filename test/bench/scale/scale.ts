import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { announcement, dataplane, type Put } from '../../scale/rows.ts'
import { timeout } from '../sync/documents.ts'
import { type BenchGlobal, startBenchGlobal } from '../sync/global.ts'
import { type LightZone, startLightZone } from './light-zone.ts'
import type { RowsResult, ZonesResult } from './scale-table.ts'

export const scaleCounts = (short: boolean) =>
  short
    ? { zones: [2, 5], rows: [100], changes: 5, idleMs: 1_000, snapshots: 1 }
    : { zones: [10, 100, 500], rows: [1_000, 10_000, 50_000], changes: 60, idleMs: 20_000, snapshots: 3 }
type Counts = ReturnType<typeof scaleCounts>

interface Run {
  readonly folder: string
  readonly counts: Counts
  readonly say: (line: string) => void
}

const mib = 1024 * 1024
/** Changes are this far apart, so that each is a round of its own. */
const apartMs = 60
const atOnce = 25
const feeders = 10
const rowsPerWrite = 500

const pause = (ms: number) => delay(systemClock, ms, new AbortController().signal)
const numbered = (name: string, count: number) => Array.from({ length: count }, (_unused, index) => `${name}-${index}`)
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)

/** CPU seconds of the global, and what the zones have received and sent. */
async function measured(global: BenchGlobal, zones: readonly LightZone[], work: () => Promise<void>) {
  const read = async () => ({
    cpu: await global.counted('process_cpu_seconds_total'),
    out: sum(zones.map(({ received }) => received.bytes)),
    in: sum(zones.map(({ sent }) => sent.bytes)),
    atMs: performance.now(),
  })
  const before = await read()
  await work()
  const after = await read()
  return {
    cpuMs: (after.cpu - before.cpu) * 1_000,
    bytesOut: after.out - before.out,
    bytesIn: after.in - before.in,
    tookMs: after.atMs - before.atMs,
  }
}

/** One table row per number of connected zones. All zones are new, and each connects once. */
export async function measureZones({ folder, counts, say }: Run): Promise<readonly ZonesResult[]> {
  await using global = await startBenchGlobal(folder, 'global-of-zones')
  using stack = new DisposableStack()
  const most = Math.max(...counts.zones)
  const tokens = [...(await global.tokens(numbered('zone', most)))]
  const zones: LightZone[] = []
  const results: ZonesResult[] = []
  for (const count of counts.zones) {
    say(`${count} zones …`)
    const connected = await measured(global, [], async () => {
      for (let at = zones.length; at < count; at = zones.length) {
        const group = tokens.slice(at, Math.min(count, at + atOnce))
        for (const zone of await Promise.all(group.map(([name, token]) => startLightZone(global, { name, token }))))
          zones.push(stack.use(zone))
      }
      const revision = await global.revision()
      await Promise.all(zones.map((zone) => zone.untilStored(revision)))
    })
    const added = count - (results.at(-1)?.zones ?? 0)
    await pause(1_000)
    results.push({ zones: count, ...(await ofChanges(global, zones, counts)), connectMs: connected.cpuMs / added })
  }
  return results
}

/** CPU and bytes of changes, less what the same time costs without changes. */
async function ofChanges(global: BenchGlobal, zones: readonly LightZone[], counts: Counts) {
  const idle = await measured(global, zones, () => pause(counts.idleMs))
  const [writer, ...others] = zones
  if (!writer) throw new Error('a measurement needs a zone')
  const policies = await measured(global, zones, async () => {
    for (let index = 0; index < counts.changes; index += 1) {
      const revision = await global.write([timeout(`change-${zones.length}-${index % 10}`, (index % 50) + 1)])
      await Promise.all(zones.map((zone) => zone.untilStored(revision)))
      await pause(apartMs)
    }
  })
  const dataplanes = await measured(global, others, async () => {
    for (let index = 0; index < counts.changes; index += 1) {
      writer.write([dataplane(writer.name, index % 10)])
      await writer.untilStoredByGlobal()
      await pause(apartMs)
    }
  })
  const share = (all: { cpuMs: number; tookMs: number }) =>
    (all.cpuMs - (idle.cpuMs * all.tookMs) / idle.tookMs) / counts.changes
  const bytes = (found: number, idleBytes: number, tookMs: number, among: number) =>
    (found - (idleBytes * tookMs) / idle.tookMs) / counts.changes / among
  const { length } = zones
  return {
    idlePercent: (100 * idle.cpuMs) / idle.tookMs,
    policyMs: share(policies),
    dataplaneMs: share(dataplanes),
    policyBytesOut: bytes(policies.bytesOut, idle.bytesOut, policies.tookMs, length),
    policyBytesIn: bytes(policies.bytesIn, idle.bytesIn, policies.tookMs, length),
    dataplaneBytesOut: bytes(
      dataplanes.bytesOut,
      (idle.bytesOut * others.length) / length,
      dataplanes.tookMs,
      others.length,
    ),
    idleBytesPerSecond: ((idle.bytesOut + idle.bytesIn) * 1_000) / idle.tookMs / length,
    ...(await memoryOf(global)),
  }
}

async function memoryOf(global: BenchGlobal) {
  const heapMiB = (await global.usedBytes()) / mib
  return { heapMiB, residentMiB: (await global.counted('process_resident_memory_bytes')) / mib }
}

/** One table row per number of stored rows: so many Dataplanes and as many announcements, of ten zones together. */
export async function measureRows({ folder, counts, say }: Run): Promise<readonly RowsResult[]> {
  await using global = await startBenchGlobal(folder, 'global-of-rows')
  using stack = new DisposableStack()
  const names = numbered('feeder', feeders)
  const readers = counts.rows.flatMap((rows) => numbered(`reader-of-${rows}`, counts.snapshots))
  const tokens = await global.tokens([...names, ...readers])
  const start = (name: string) => startLightZone(global, { name, token: tokens.get(name) ?? '' })
  const zones = await Promise.all(names.map(start))
  for (const zone of zones) stack.use(zone)
  const results: RowsResult[] = []
  let stored = 0
  for (const rows of counts.rows) {
    say(`${rows} rows …`)
    const up = await send(global, zones, stored, rows, dataplane)
    await send(global, zones, stored, rows, announcement)
    // The feeders have stored everything, so that a snapshot is the only work of the global.
    await pause(2_000)
    const snapshots = await snapshotsOf(global, numbered(`reader-of-${rows}`, counts.snapshots), start)
    results.push({
      rows,
      upMicroseconds: (up.cpuMs * 1_000) / (rows - stored),
      upBytes: up.bytesIn / (rows - stored),
      relayedBytes: snapshots.bytes / rows,
      snapshotCpuMs: snapshots.cpuMs,
      snapshotMs: snapshots.tookMs,
      snapshotMiB: snapshots.bytes / mib,
      ...(await memoryOf(global)),
    })
    stored = rows
  }
  return results
}

/** Sends the rows from `from` to `to` in shares, one share per zone. */
async function send(
  global: BenchGlobal,
  zones: readonly LightZone[],
  from: number,
  to: number,
  row: (zone: string, index: number) => Put,
) {
  return measured(global, zones, async () => {
    const each = (zone: LightZone) => {
      const count = (to - from) / zones.length
      const first = from / zones.length
      return Array.from({ length: count }, (_unused, index) => row(zone.name, first + index))
    }
    await Promise.all(
      zones.map(async (zone) => {
        const all = each(zone)
        for (let at = 0; at < all.length; at += rowsPerWrite) {
          zone.write(all.slice(at, at + rowsPerWrite))
          await zone.untilStoredByGlobal()
        }
      }),
    )
  })
}

/** New zones get everything, one after the other. Means of all of them. */
async function snapshotsOf(global: BenchGlobal, names: readonly string[], start: (name: string) => Promise<LightZone>) {
  const found = { cpuMs: 0, tookMs: 0, bytes: 0 }
  for (const name of names) {
    const opened: LightZone[] = []
    const one = await measured(global, [], async () => {
      const zone = await start(name)
      opened.push(zone)
      await zone.untilStored(1)
    })
    found.cpuMs += one.cpuMs / names.length
    found.tookMs += one.tookMs / names.length
    found.bytes += sum(opened.map(({ received }) => received.bytes)) / names.length
    for (const zone of opened) zone[Symbol.dispose]()
    await pause(500)
  }
  return found
}
