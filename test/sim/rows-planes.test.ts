import { judgeIsolation } from '@zonemesh/shared/guarantees/g7-isolation.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { describe, expect, it } from 'vitest'
import { isRemoved, route, routeKey, sidecar } from './content.ts'
import { run } from './run.ts'
import { createStage, type Stage } from './stage.ts'
import { dataplaneKey } from './zone-plane.ts'

const why = { subject: 'anna', intent: 'test' }
const routesOf = async (stage: Stage, zone: string) =>
  ((await stage.scene.planes.get(zone)?.store.scan({ kind: 'MeshGatewayRoute' })) ?? []).map((row) => row.key.name)

/** Writes on a plane and advances time until it is written. */
const write = (stage: Stage, plane: string, changes: readonly Change[]) => {
  const store = plane === 'global' ? stage.global()?.store : stage.scene.planes.get(plane)?.store
  return stage.done(store?.commit({ ...why, changes }))
}

describe('faults of planes, stores and clocks', () => {
  it('F9 the global dies before and after each of its writes, and acknowledged writes are kept', {
    timeout: 120_000,
  }, async () => {
    for (const crash of ['before', 'after'] as const) {
      for (let write = 0; write < 10; write += 1) {
        const stage = await createStage({ seed: write, zones: 2 })
        const { globalDisk } = stage.scene
        const told: { store: string; revision: number; commitId: string }[] = []
        for (let index = 0; index < 12; index += 1) {
          if (index === write) globalDisk.crash = crash
          const done = stage
            .global()
            ?.store.commit({ ...why, changes: [route(`r${index}`, `/n${index}`, 'stable-z0')] })
          void done?.then((outcome) => void (outcome.ok && told.push(outcome.position)))
          await stage.run(40)
        }
        await stage.agreed(15_000)
        const store = stage.global()?.store
        for (const position of told) expect(await store?.standing(position)).toBe('valid')
        expect(stage.verdict()).toEqual([])
      }
    }
  })

  it('F10 a zone dies before and after each of its writes, and applies missing rows again', {
    timeout: 120_000,
  }, async () => {
    for (const crash of ['before', 'after'] as const) {
      for (let write = 0; write < 10; write += 1) {
        const stage = await createStage({ seed: 100 + write, zones: 2 })
        for (let index = 0; index < 12; index += 1) {
          if (index === write) stage.scene.zoneDisk('z0').crash = crash
          const changes = [route(`r${index}`, `/n${index}`, 'stable-z0')]
          void stage.global()?.store.commit({ ...why, changes })
          await stage.run(40)
        }
        await stage.agreed(15_000)
        expect(stage.verdict()).toEqual([])
      }
    }
  })

  it('F11 clocks that jump by hours and years make no zone absent and change no order', async () => {
    const stage = await createStage()
    const epochs = stage.scene.zones.map((zone) => stage.board(zone)?.epoch)
    stage.write(true)
    const hour = 3_600_000
    for (const jump of [hour, -hour, 24 * 365 * 10 * hour, -24 * 365 * 10 * hour]) {
      for (const process of ['global-0', 'z0']) stage.scene.wallOf(process).offsetMs += jump
      await stage.run(10_000)
      expect(stage.scene.zones.map((zone) => stage.board(zone)?.connected)).toEqual([true, true, true])
    }
    expect(stage.scene.zones.map((zone) => stage.board(zone)?.epoch)).toEqual(epochs)
    stage.write(false)
    await stage.agreed(3_000)
    expect(stage.verdict()).toEqual([])
  })

  it.each([0, 400])(
    'F18 Y12 the store of the global is rolled back, with %s writes before a zone reconnects',
    {
      timeout: 120_000,
    },
    async (writes) => {
      const stage = await createStage({ zones: 2 })
      stage.inject('global-store-old', '0', 4_000)
      const add = (name: string) => write(stage, 'global', [route(name, `/${name}`, 'stable-z0')])
      for (let index = 0; index < 20; index += 1) {
        await add(`lost-${index}`)
        await stage.run(50)
      }
      for (const zone of stage.scene.zones) stage.scene.network.linkOf(zone).up = false
      await stage.run(5_500)
      for (let index = 0; index < writes; index += 1) await add(`new-${index}`)
      await stage.run(3_000)
      for (const zone of stage.scene.zones) stage.scene.network.linkOf(zone).up = true
      await stage.until(
        'both hold',
        () => stage.scene.zones.every((zone) => stage.uplink(zone)?.hold !== undefined),
        10_000,
      )
      for (const zone of stage.scene.zones) {
        expect((await routesOf(stage, zone)).filter((name) => name.startsWith('lost-'))).toHaveLength(20)
        expect(stage.board(zone)?.current).toBe(false)
      }
      expect(stage.uplink('z0')?.hold?.reason).toContain(writes > 20 ? 'another history' : 'rolled back')
      stage.release()
      await stage.agreed(5_000)
      // Rows that were deleted in the lost history can be written again.
      await add('lost-3')
      await stage.agreed(3_000)
      expect(stage.verdict()).toEqual([])
    },
  )

  it('F19 two globals share one store, and one sleeps beyond every lease: its later writes are refused', async () => {
    const stage = await createStage({ globals: 2, zones: 3 })
    stage.write(true)
    for (let round = 0; round < 4; round += 1) {
      stage.global(round % 2)?.process.stall(12_000)
      await stage.run(14_000)
    }
    stage.write(false)
    await stage.agreed(10_000)
    const records = stage.scene.globalDisk.contents.records.map(({ position }) => position.revision)
    expect(records).toEqual([...new Set(records)].sort((a, b) => a - b))
    expect(stage.verdict()).toEqual([])
  })

  it('Y22 of two globals on one store, the one without the session of a zone follows its status within 1 s', async () => {
    const stage = await createStage({ globals: 2, zones: 3 })
    const both = [0, 1]
    const delaysMs: number[] = []
    for (let round = 0; round < 6; round += 1) {
      const written = await write(stage, 'global', [route(`followed-${round}`, `/${round}`, 'stable-z0')])
      const revision = written?.ok ? written.position.revision : 0
      expect(revision).toBeGreaterThan(0)
      for (const zone of stage.scene.zones) {
        const served = (index: number) => (stage.board(zone, index)?.served ?? 0) >= revision
        await stage.until('one of them knows', () => both.some(served), 5_000)
        delaysMs.push(await stage.until('both know', () => both.every(served), 1_000))
        const [one, other] = both.map((index) => stage.board(zone, index))
        expect(other).toMatchObject({ connected: true, current: true, epoch: one?.epoch, stored: one?.stored })
      }
      const level = 'served' as const
      for (const index of both) {
        const wait = { revision, level, zones: stage.scene.zones, timeoutMs: 1_000 }
        const receipts = await stage.done(stage.global(index)?.sync.waitFor(wait, new AbortController().signal))
        expect(receipts?.map(({ state }) => state)).toEqual(['done', 'done', 'done'])
      }
    }
    expect(Math.max(...delaysMs)).toBeLessThanOrEqual(1_000)
    // The end of the session is recorded too, with the reason of the global that had it.
    stage.inject('kill-zone', 'z1', 30_000)
    await stage.until(
      'one of them knows',
      () => both.some((index) => stage.board('z1', index)?.connected === false),
      12_000,
    )
    await stage.until('both know', () => both.every((index) => stage.board('z1', index)?.connected === false), 1_000)
    const [one, other] = both.map((index) => stage.board('z1', index))
    expect(other).toMatchObject({ epoch: one?.epoch, lastEnd: one?.lastEnd, sinceMs: one?.sinceMs })
    stage.heal()
    await stage.agreed(15_000)
    expect(stage.verdict()).toEqual([])
  })

  it('F21 a zone returns after the log was cut: it gets one replacement, and changes of both sides stay', async () => {
    const stage = await createStage({ zones: 2, horizonRevisions: 20 })
    stage.inject('partition', 'z0', 10 ** 9)
    await stage.until('away', () => stage.board('z0')?.connected === false, 10_000)
    for (const zone of ['z0', 'z1']) await write(stage, zone, [sidecar(zone, 'same-name', 'both', 30)])
    for (let index = 0; index < 80; index += 1) {
      await write(stage, 'global', [route(`r${index % 10}`, `/${index}`, 'stable-z1')])
    }
    const before = stage.told.filter(({ message }) => message.type === 'replace').length
    stage.heal()
    await stage.agreed(12_000)
    expect(stage.told.filter(({ message }) => message.type === 'replace').length - before).toBe(1)
    for (const origin of ['z0', 'z1']) {
      expect((await stage.global()?.store.get(dataplaneKey(origin, 'same-name')))?.state).toBe('live')
    }
    expect(stage.verdict()).toEqual([])
  })

  it('F22 a zone whose store is lost gets its place again, and its former rows are removed when they expire', async () => {
    const stage = await createStage({ zones: 2 })
    await write(stage, 'z0', [sidecar('z0', 'never-again', 'gone', 40)])
    await stage.agreed(3_000)
    stage.inject('zone-store-lost', 'z0', 1_000)
    await stage.until('it is back', () => (stage.uplink('z0')?.phase ?? '') === 'connected', 10_000)
    await stage.run(3_000)
    const atGlobal = async () => (await stage.global()?.store.get(dataplaneKey('z0', 'never-again')))?.state
    expect(await atGlobal()).toBe('live')
    expect(stage.global()?.sync.formers().get('z0')?.rows).toBeGreaterThan(0)
    await stage.agreed(20_000)
    expect(await atGlobal()).toBe('forgotten')
    expect(stage.verdict()).toEqual([])
  })

  it('F24 bad rows of the global affect no other row', { timeout: 120_000 }, async () => {
    const options = { seed: 11, zones: 3, faults: [] }
    const good = await run(options)
    const poison = Array.from({ length: 12 }, (_, index) => ({
      atMs: 1_000 + index * 2_000,
      type: 'poison' as const,
      target: 'z0',
      forMs: 0,
      shade: 0,
    }))
    const bad = await run({ ...options, faults: poison })
    expect(bad.violations).toEqual([])
    expect(judgeIsolation(bad.history, good.history)).toEqual([])
  })

  it('F26 most of a kind is removed in one commit without a declaration: every zone holds it, and applies it after a release', async () => {
    const stage = await createStage()
    stage.workload.massDelete(false)
    await stage.until('all hold', () => stage.scene.zones.every((zone) => stage.uplink(zone)?.hold), 3_000)
    expect((await routesOf(stage, 'z1')).length).toBeGreaterThan(15)
    expect(stage.board('z1')).toMatchObject({ connected: true, current: false, holds: [{ removals: 15 }] })
    expect(
      stage.scene.zones.map((zone) => stage.global()?.sync.release(zone, stage.board(zone)?.holds[0]?.id ?? '')),
    ).toEqual([true, true, true])
    await stage.agreed(3_000)
    expect(await routesOf(stage, 'z1')).toHaveLength(4)
    expect(stage.verdict()).toEqual([])
  })

  it('F33 names that change every second never lead to a wrong service, and no live name is unknown', async () => {
    const stage = await createStage({ zones: 2 })
    const zone = stage.scene.planes.get('z0')
    for (let round = 0; round < 400; round += 1) {
      const name = `churn-${round % 6}-1`
      const change =
        Math.floor(round / 6) % 2 === 0
          ? sidecar('z0', name, `churn-${round % 6}`, 50 + (round % 6))
          : isRemoved(dataplaneKey('z0', name))
      void zone?.store.commit({ ...why, changes: [change] })
      await stage.run(50)
      expect(zone?.core.nameFeeds.lookup('default', 'stable-z0.mesh')).toHaveLength(1)
    }
    await stage.agreed(3_000)
    expect(stage.verdict()).toEqual([])
  })

  it('F46 if only a part of the mesh heals, this part agrees', async () => {
    const stage = await createStage({ zones: 6, globals: 2 })
    stage.write(true)
    for (const zone of stage.scene.zones) stage.inject('partition', zone, 10 ** 9)
    stage.inject('kill-global', '0', 10 ** 9)
    await stage.run(10_000)
    for (const zone of ['z1', 'z3']) Object.assign(stage.scene.network.linkOf(zone), { up: true, down: true })
    stage.write(false)
    const head = async () => (await stage.global(1)?.store.head())?.revision ?? 0
    const isHealed = async (zone: string) =>
      stage.board(zone, 1)?.current === true && stage.board(zone, 1)?.stored === (await head())
    await stage.until('the healed agree', async () => (await isHealed('z1')) && (await isHealed('z3')), 30_000)
    expect(stage.board('z0', 1)?.current ?? false).toBe(false)
    expect(stage.verdict()).toEqual([])
  })

  it('Y38 a route that was deleted and written again is the new one everywhere', async () => {
    const stage = await createStage({ zones: 2 })
    for (const change of [isRemoved(routeKey('r1')), route('r1', '/again', 'stable-z1')])
      await write(stage, 'global', [change])
    await stage.agreed(3_000)
    expect(stage.verdict()).toEqual([])
  })
})
