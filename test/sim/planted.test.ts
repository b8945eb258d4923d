import { judgeIsolation } from '@zonemesh/shared/guarantees/g7-isolation.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Commit } from '@zonemesh/shared/store/store.ts'
import { decodeFrame, encodeMessage } from '@zonemesh/shared/sync/log/frames.ts'
import { positionKind } from '@zonemesh/shared/sync/log/rounds.ts'
import { describe, expect, it } from 'vitest'
import type { Fault, FaultType } from './faults.ts'
import { run } from './run.ts'
import type { Sabotage } from './sabotage.ts'

const fault = (type: FaultType, atMs: number, target = 'z0', forMs = 2_000): Fault => ({
  atMs,
  type,
  target,
  forMs,
  shade: 0.4,
})

/** The guarantees that a broken mesh violates. */
async function broken(sabotage: Sabotage, faults: readonly Fault[] = [], seed = 5): Promise<readonly string[]> {
  const { violations } = await run({ seed, zones: 3, faults, sabotage })
  return [...new Set(violations.map((one) => one.split(' ')[0] ?? ''))]
}

/** A commit of a zone that stores rows of the global, with each row replaced by the result of `each`. */
const onReceived = (plane: string, commit: Commit, each: (change: Change) => readonly Change[]): Commit =>
  plane === 'global' ? commit : { ...commit, changes: commit.changes.flatMap(each) }

const isRouteOf = (change: Change, name: string) => change.key.kind === 'MeshGatewayRoute' && change.key.name === name

describe('planted bugs', () => {
  it('SM4 without a planted bug the judges report nothing', async () => {
    expect(await broken({}, [fault('break', 1_000), fault('kill-zone', 8_000)])).toEqual([])
  })

  it('G1 the judge detects a global that announces a replacement of an older revision', async () => {
    let marks = 0
    const down: Sabotage['down'] = (bytes) => {
      const { message, number } = decodeFrame(bytes)
      if (message?.type !== 'mark' || message.position.revision < 20) return [bytes]
      marks += 1
      if (marks % 7 !== 0) return [bytes]
      const position = { ...message.position, revision: message.position.revision - 12 }
      const replace = { type: 'replace', origins: ['nobody'], position, reason: 'late' } as const
      return [encodeMessage(replace), encodeMessage({ type: 'mark', position }, number)]
    }
    expect(await broken({ down })).toContain('G1')
  })

  it('G2 the judge detects a zone that writes one of two rows later than the other', async () => {
    let late: readonly Change[] = []
    const commit: Sabotage['commit'] = (plane, input) => {
      const before = plane === 'z0' ? late : []
      const kept = (change: Change) => plane === 'z0' && change.key.name === 'pair-right' && change.op === 'put'
      if (plane === 'z0') late = input.changes.filter(kept)
      return { ...input, changes: [...before, ...input.changes.filter((change) => !kept(change))] }
    }
    expect(await broken({ commit })).toContain('G2')
  })

  it('G3 the judge detects a zone that loses a row before its disk', async () => {
    const commit: Sabotage['commit'] = (plane, input) =>
      onReceived(plane, input, (change) => (isRouteOf(change, 'stable-z1') ? [] : [change]))
    expect(await broken({ commit })).toContain('G3')
  })

  it('G4 the judge detects a zone that sometimes gives a service another address', async () => {
    let number = 50
    const commit: Sabotage['commit'] = (plane, input) => {
      if (plane !== 'z0' || !input.changes.some(({ key }) => key.name === 'pair-left')) return input
      number += 1
      const key = { origin: 'z0', kind: 'VirtualAddress', mesh: 'default', name: 'stable-z0' }
      return { ...input, changes: [...input.changes, { op: 'put', key, labels: {}, spec: { number } }] }
    }
    expect(await broken({ commit })).toContain('G4')
  })

  it('G5 the judge detects a zone that changes received rows', async () => {
    const commit: Sabotage['commit'] = (plane, input) =>
      onReceived(plane, input, (change) =>
        isRouteOf(change, 'r5') && change.op === 'put'
          ? [{ ...change, spec: { ...change.spec, forged: true } }]
          : [change],
      )
    expect(await broken({ commit })).toContain('G5')
  })

  it('G6 the judge detects a zone that treats silence as deletion', async () => {
    const gone: Change = {
      op: 'forget',
      key: { origin: globalOrigin, kind: 'MeshGatewayRoute', mesh: 'default', name: 'stable-z1' },
    }
    const commit: Sabotage['commit'] = (plane, input) =>
      plane === 'z0' && input.changes.length < 10 && input.changes.some(({ key }) => key.name === 'pair-left')
        ? { ...input, changes: [...input.changes, gone] }
        : input
    expect(await broken({ commit })).toContain('G6')
  })

  it('G7 the judge detects a row that keeps a zone busy', { timeout: 120_000 }, async () => {
    const options = { seed: 7, zones: 2, faults: [] }
    const good = await run(options)
    const bad = await run({ ...options, sabotage: { stallsOn: (key) => key.includes('/r3') } })
    expect(judgeIsolation(good.history, good.history)).toEqual([])
    expect(judgeIsolation(bad.history, good.history)).toMatchObject([{ guarantee: 'G7' }])
  })

  it('G8 the judge detects a global that compares with a mark from half a minute ago', async () => {
    expect(await broken({ staleMarks: true })).toContain('G8')
  })

  it('G9 the judge detects a zone that reassigns addresses at once', async () => {
    // Whether a service comes so soon after another one depends on the seed.
    const found = [...(await broken({ quarantineMs: 0 }, [], 4)), ...(await broken({ quarantineMs: 0 }, [], 11))]
    expect(found).toContain('G9')
  })

  it('G9 the judge detects a zone that reassigns the addresses of its lost store at once', async () => {
    const faults = [fault('zone-store-lost', 12_000), fault('zone-store-lost', 20_000, 'z1')]
    expect(await broken({ grantsNothing: true }, faults, 6)).toContain('G9')
    expect(await broken({}, faults, 6)).toEqual([])
  })

  it('G10 Y15 the judge detects a zone that serves the remains of a lost store', async () => {
    const faults = [fault('zone-store-lost', 3_000), fault('partition', 4_000, 'z0', 9_000)]
    expect(await broken({ servesAnything: true }, faults)).toContain('G10')
    expect(await broken({}, faults)).toEqual([])
  })

  it('QX12 the judge detects an answer that reaches another query', async () => {
    let former = new Uint8Array()
    const down: Sabotage['down'] = (bytes) => {
      const { message, number } = decodeFrame(bytes)
      if (message?.type !== 'query' || message.frame.type !== 'answer') return [bytes]
      const { frame } = message
      const other = former
      former = Uint8Array.from(frame.bytes)
      return [encodeMessage({ type: 'query', frame: { ...frame, bytes: other } }, number)]
    }
    const { violations } = await run({ seed: 5, zones: 1, faults: [], sabotage: { down } })
    expect(violations).toContainEqual(expect.stringMatching(/^question \d+ \((echo|large)\) .*the answer is wrong$/))
  })

  it('L12 the judge detects a zone that never moves its position', async () => {
    const commit: Sabotage['commit'] = (plane, input) =>
      onReceived(plane, input, (change) => (change.key.kind === positionKind ? [] : [change]))
    expect(await broken({ commit }, [fault('kill-zone', 5_000)])).not.toEqual([])
  })
})
