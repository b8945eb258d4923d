import { describe, expect, it } from 'vitest'
import { costs } from './costs.ts'
import type { ChangeKind, Counts } from './hub.ts'
import { run } from './model.ts'
import { startRealGlobal } from './real.ts'
import { announcement, dataplane, type Put, policy } from './rows.ts'

const zones = Array.from({ length: 50 }, (_unused, index) => `zone-${index}`)
const seconds = 6
const settleMs = 20_000

/** No work takes time in virtual time, and the lines of the simulator have 2 to 5 ms. */
const noCosts = {
  ...costs,
  ...{ wakeMs: 0, frameMs: 0, rowSentMs: 0, rowStoredMs: 0, commitMs: 0, policyMs: 0, zoneStoreMs: 0, lineMs: 3.2 },
}

const putOf: Readonly<Record<ChangeKind, (zone: number, index: number) => Put>> = {
  policy: (_zone, index) => policy(index),
  announcement: (zone, index) => announcement(zones[zone] ?? '', index),
  dataplane: (zone, index) => dataplane(zones[zone] ?? '', index),
}

const changesOf = (kinds: readonly ChangeKind[], everyMs: number) =>
  Array.from({ length: Math.floor((seconds * 1_000 - 1_000) / everyMs) }, (_unused, index) => {
    const kind = kinds[index % kinds.length] ?? 'policy'
    return { kind, zone: kind === 'policy' ? -1 : (index * 7) % zones.length, atMs: index * everyMs + 10 }
  })

async function realTraffic(changes: ReturnType<typeof changesOf>): Promise<Counts> {
  const real = await startRealGlobal(zones, 1)
  await real.world.runUntil(settleMs)
  expect([...real.server.zones().values()].filter(({ connected }) => connected).length).toBe(zones.length)
  real.takeTraffic()
  changes.forEach(({ kind, zone, atMs }, index) => real.writeAt(settleMs + atMs, putOf[kind](zone, index)))
  await real.world.runUntil(settleMs + seconds * 1_000)
  return Object.fromEntries(real.takeTraffic())
}

const modelTraffic = (changes: ReturnType<typeof changesOf>): Counts => {
  const options = { zones: zones.length, changesPerSecond: 1, seconds, seed: 1, fanOut: undefined, isEndless: false }
  return run({ ...options, changes }, noCosts).processes[0]?.counts ?? {}
}

/** Types of frames of which the model has more than a tenth more or less than the real server. */
function differences(real: Counts, model: Counts): readonly string[] {
  const differs = (a: number, b: number) => Math.abs(a - b) > 0.1 * Math.max(a, b)
  return [...new Set([...Object.keys(real), ...Object.keys(model)])].flatMap((name) => {
    const [a, b] = [real[name] ?? { frames: 0, bytes: 0 }, model[name] ?? { frames: 0, bytes: 0 }]
    if (!differs(a.frames, b.frames) && !differs(a.bytes, b.bytes)) return []
    return [`${name}: ${a.frames} frames and ${a.bytes} bytes, in the model ${b.frames} and ${b.bytes}`]
  })
}

describe('the model and the real sync server with fifty zones', () => {
  it.each<{ readonly what: string; readonly kinds: readonly ChangeKind[]; readonly everyMs: number }>([
    { what: 'no changes', kinds: [], everyMs: Number.POSITIVE_INFINITY },
    { what: 'five policies per second', kinds: ['policy'], everyMs: 200 },
    { what: 'ten Dataplanes per second', kinds: ['dataplane'], everyMs: 100 },
    { what: 'five announcements per second', kinds: ['announcement'], everyMs: 200 },
    { what: 'fifty changes of all kinds per second', kinds: ['policy', 'dataplane', 'announcement'], everyMs: 20 },
  ])('SM6 $what: frames and bytes of each type agree within 10 %', { timeout: 240_000 }, async ({ kinds, everyMs }) => {
    const changes = kinds.length === 0 ? [] : changesOf(kinds, everyMs)
    const real = await realTraffic(changes)
    expect(Object.keys(real).length).toBeGreaterThanOrEqual(2)
    expect(differences(real, modelTraffic(changes))).toEqual([])
  })
})
