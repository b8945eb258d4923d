import { describe, expect, it } from 'vitest'
import { judgeOrdered } from '../../src/guarantees/g1-ordered.ts'
import { judgeAtomic } from '../../src/guarantees/g2-atomic.ts'
import { judgeReliable } from '../../src/guarantees/g3-reliable.ts'
import { judgeResumable } from '../../src/guarantees/g4-resumable.ts'
import { judgeOwnerOnly } from '../../src/guarantees/g5-owner-only.ts'
import { judgeNoFalseDelete } from '../../src/guarantees/g6-no-false-delete.ts'
import { judgeIsolation } from '../../src/guarantees/g7-isolation.ts'
import { judgeHonestStatus, leaseMs } from '../../src/guarantees/g8-honest-status.ts'
import { judgeNameSafety } from '../../src/guarantees/g9-name-safety.ts'
import { judgeTraffic } from '../../src/guarantees/g10-traffic.ts'
import type { HistoryEvent, Judge, SeenVersion } from '../../src/guarantees/history.ts'

type State = SeenVersion['state']

/** A version of the key `<origin>/row`. By default the content names the stamp. */
const row = (origin: string, revision: number, state: State = 'live', content = `c${revision}`): SeenVersion => ({
  key: `${origin}/row`,
  origin,
  state,
  incarnation: 1,
  originRevision: revision,
  content: state === 'live' ? content : state,
})
const written = (atMs: number, plane: string, version: SeenVersion, life = 0): HistoryEvent => {
  const { originRevision: revision } = version
  return { type: 'written', atMs, plane, store: 's', life, revision, mark: true, versions: [version] }
}
const exchanged = (atMs: number, plane: string, kept: readonly string[] = [], life = 1): HistoryEvent => ({
  type: 'store-exchanged',
  atMs,
  plane,
  life,
  kept,
})
const restored = (atMs: number, revision: number): HistoryEvent => ({
  ...{ type: 'store-exchanged', atMs, plane: 'global', life: 1, kept: [] },
  revision,
})
const released = (atMs: number): HistoryEvent => ({ type: 'released', atMs, zone: 'z' })
const applied = (atMs: number, revision: number, session = 'one'): HistoryEvent => ({
  type: 'applied',
  atMs,
  zone: 'z',
  session,
  store: 's',
  revision,
})
/** The global opens a session with zone z. */
const opened = (atMs: number): HistoryEvent =>
  written(atMs, 'global', { ...row('global', 1), key: 'global/SyncEpoch//z' })
const claimed = (atMs: number): HistoryEvent => ({ type: 'claimed', atMs, by: 'z', zone: 'z', store: 's' })
const receipt = (atMs: number, revision: number): HistoryEvent => ({
  type: 'receipt',
  by: 'a receipt',
  level: 'served',
  atMs,
  zone: 'z',
  store: 's',
  revision,
})
const answered = (atMs: number, service: string, address: string | undefined): HistoryEvent => ({
  type: 'answered',
  atMs,
  zone: 'z',
  service,
  address,
})
const pair = (left: string, right: string): HistoryEvent => ({ type: 'pair', atMs: 1, zone: 'z', left, right })
const final = (missing: readonly string[], surplus: readonly string[]): HistoryEvent => ({
  type: 'final',
  atMs: 1,
  plane: 'z',
  missing,
  surplus,
})
const request = (ok: boolean): HistoryEvent => ({ type: 'request', atMs: 1, from: 'a', to: 'b', ok, reason: '' })

const g6 = judgeNoFalseDelete({ formerStayMs: 1_000 })
const g8 = judgeHonestStatus({ isForAll: () => true })
const [own, gone] = [
  (at: number, revision: number) => written(at, 'global', row('global', revision)),
  'forgotten',
] as const
const taken = (at: number, revision: number) => written(at, 'z', row('global', revision))
const lost = (at: number, revision: number) => written(at, 'z', row('global', revision, gone))
const ownDeleted = (at: number, revision: number, life = 0) =>
  written(at, 'global', row('global', revision, 'deleted'), life)
const ofZone = (at: number, plane: string, state: State = 'live', life = 0) =>
  written(at, plane, row('a', 1, state), life)

/** For each judge and clause: a history that just violates it, and one that just does not. */
const cases: readonly (readonly [string, Judge, readonly HistoryEvent[], readonly HistoryEvent[]])[] = [
  ['G1: an older mark in one session', judgeOrdered, [applied(1, 5), applied(2, 4)], [applied(1, 5), applied(2, 5)]],
  [
    'G1: of two sessions each has an order of its own',
    judgeOrdered,
    [applied(1, 5), applied(2, 9, 'two'), applied(3, 4)],
    [applied(1, 5), applied(2, 4, 'two')],
  ],
  [
    'G1: an operator has accepted an older history',
    judgeOrdered,
    [released(0), applied(1, 5), applied(2, 4)],
    [applied(1, 5), released(2), applied(3, 4)],
  ],
  ['G2: two rows that were written together', judgeAtomic, [pair('1', '2')], [pair('2', '2')]],
  ['G3: one row too few', judgeReliable, [final(['a'], [])], [final([], [])]],
  ['G3: one row too much', judgeReliable, [final([], ['a'])], [final([], [])]],
  [
    'G4: another address before the quarantine ends',
    judgeResumable(100),
    [answered(0, 's', '1'), answered(1, 's', undefined), answered(100, 's', '2')],
    [answered(0, 's', '1'), answered(1, 's', undefined), answered(101, 's', '2')],
  ],
  [
    'G4: the zone has lost its store',
    judgeResumable(100),
    [answered(0, 's', '1'), exchanged(1, 'other'), answered(2, 's', '2')],
    [answered(0, 's', '1'), exchanged(1, 'z'), answered(2, 's', '2')],
  ],
  [
    'G4: the zone has an older copy of its store',
    judgeResumable(100),
    [exchanged(0, 'z', ['kept']), applied(1, 1), applied(2, 2), answered(3, 's', '1'), answered(4, 's', '2')],
    [exchanged(0, 'z', ['kept']), applied(1, 1), answered(2, 's', '1'), applied(3, 1), answered(4, 's', '2')],
  ],
  [
    'G5: content that the owner never wrote',
    judgeOwnerOnly,
    [own(1, 1), written(2, 'z', row('global', 1, 'live', 'other'))],
    [own(1, 1), taken(2, 1)],
  ],
  ['G5: content that the owner wrote later', judgeOwnerOnly, [taken(1, 1), own(2, 1)], [own(1, 1), taken(2, 1)]],
  [
    'G6: lost, and never deleted',
    g6,
    [own(1, 1), taken(2, 1), lost(3, 1)],
    [own(1, 1), taken(2, 1), ownDeleted(3, 2), lost(4, 1)],
  ],
  [
    'G6: deleted, live again and then lost',
    g6,
    [own(1, 1), ownDeleted(2, 2), own(3, 3), taken(4, 3), lost(5, 3)],
    [own(1, 1), ownDeleted(2, 2), own(3, 3), taken(4, 1), lost(5, 1)],
  ],
  [
    'G6: deleted only after it was lost',
    g6,
    [own(1, 1), taken(2, 1), lost(3, 1), ownDeleted(4, 2)],
    [own(1, 1), taken(2, 1), ownDeleted(3, 2), lost(4, 1)],
  ],
  [
    'G6: a former history that no operator has released yet',
    g6,
    [own(1, 1), taken(2, 1), released(3), exchanged(4, 'global'), lost(5, 1)],
    [own(1, 1), taken(2, 1), exchanged(3, 'global'), released(4), lost(5, 1)],
  ],
  [
    'G6: a key that outlived the exchange',
    g6,
    [own(1, 1), taken(2, 1), exchanged(3, 'global', ['global/row']), released(4), lost(5, 1)],
    [own(1, 1), taken(2, 1), exchanged(3, 'global', ['global/row']), ownDeleted(4, 2, 1), released(5), lost(6, 1)],
  ],
  [
    'G6: a removal that only the former history holds',
    g6,
    [own(1, 1), taken(2, 1), ownDeleted(3, 2), exchanged(4, 'global', ['global/row']), released(5), lost(6, 1)],
    [own(1, 1), taken(2, 1), ownDeleted(3, 2), exchanged(4, 'global'), lost(5, 1)],
  ],
  [
    'G6: a removal of the former history that arrives after the exchange, and a row that is left out without one',
    g6,
    [own(1, 1), taken(2, 1), ownDeleted(3, 2), exchanged(4, 'global', ['global/row']), released(5), lost(6, 2)],
    [
      ...[own(1, 1), taken(2, 1), ownDeleted(3, 2), exchanged(4, 'global', ['global/row'])],
      written(5, 'z', row('global', 2, 'deleted')),
    ],
  ],
  [
    'G6: a version of the present life',
    g6,
    [exchanged(0, 'global'), written(1, 'global', row('global', 1), 1), taken(2, 1), released(3), lost(4, 1)],
    [own(0, 1), taken(1, 1), exchanged(2, 'global'), released(3), lost(4, 1)],
  ],
  [
    'G6: rows of a lost zone go before their time',
    g6,
    [ofZone(1, 'a'), ofZone(2, 'global'), exchanged(3, 'a'), ofZone(1_002, 'global', gone)],
    [ofZone(1, 'a'), ofZone(2, 'global'), exchanged(3, 'a'), ofZone(1_003, 'global', gone)],
  ],
  [
    'G6: rows of a zone that has lost its store twice wait from the first time',
    g6,
    [ofZone(1, 'a'), ofZone(2, 'global'), exchanged(3, 'a'), exchanged(500, 'a', [], 2), ofZone(1_002, 'global', gone)],
    [ofZone(1, 'a'), ofZone(2, 'global'), exchanged(3, 'a'), exchanged(500, 'a', [], 2), ofZone(1_003, 'global', gone)],
  ],
  [
    'G6: the reader has lost its own store',
    g6,
    [own(1, 1), taken(2, 1), exchanged(3, 'y'), lost(4, 1)],
    [own(1, 1), taken(2, 1), exchanged(3, 'z'), lost(4, 1)],
  ],
  [
    'G8: a claim without a commit of a lease ago',
    judgeHonestStatus(),
    [own(0, 1), claimed(leaseMs)],
    [own(0, 1), claimed(leaseMs - 1)],
  ],
  [
    'G8: a claim after the global got an older copy of its store',
    judgeHonestStatus(),
    [own(0, 1), own(0, 2), applied(1, 1), restored(2, 2), claimed(leaseMs)],
    [own(0, 1), own(0, 2), applied(1, 1), restored(2, 1), claimed(leaseMs)],
  ],
  [
    'G8: a position that moved without its rows',
    g8,
    [taken(0, 0), own(1, 1), applied(2, 1), claimed(1 + leaseMs)],
    [taken(0, 0), own(1, 1), taken(2, 1), applied(2, 1), claimed(1 + leaseMs)],
  ],
  [
    'G8: a receipt for a revision that the zone never took',
    judgeHonestStatus(),
    [applied(1, 4), receipt(2, 5)],
    [applied(1, 5), receipt(2, 5)],
  ],
  [
    'G8: a receipt by what was taken of a former history',
    judgeHonestStatus(),
    [applied(1, 5), exchanged(2, 'global'), receipt(3, 5)],
    [exchanged(1, 'global'), applied(2, 5), receipt(3, 5)],
  ],
  [
    'G8: a receipt of a revision that the restored copy of the global does not have',
    judgeHonestStatus(),
    [applied(1, 5), restored(2, 4), receipt(3, 5)],
    [applied(1, 5), restored(2, 5), receipt(3, 5)],
  ],
  [
    'G8: a receipt for a revision whose rows the zone lacks',
    g8,
    [taken(0, 0), own(1, 1), applied(2, 1), receipt(3, 1)],
    [taken(0, 0), own(1, 1), taken(2, 1), applied(2, 1), receipt(3, 1)],
  ],
  [
    'G9: an address of another service within the quarantine',
    judgeNameSafety(100),
    [answered(0, 'a', '1'), answered(1, 'a', undefined), answered(100, 'b', '1')],
    [answered(0, 'a', '1'), answered(1, 'a', undefined), answered(101, 'b', '1')],
  ],
  [
    'G9: an address of two services at once',
    judgeNameSafety(100),
    [answered(0, 'a', '1'), answered(1, 'b', '1')],
    [answered(0, 'a', '1'), answered(1, 'b', '2')],
  ],
  [
    'G9: an address of another service after the zone has lost its store',
    judgeNameSafety(100),
    [answered(0, 'a', '1'), exchanged(1, 'z'), answered(2, 'a', undefined), answered(3, 'b', '1')],
    [answered(0, 'a', '1'), exchanged(1, 'z', ['kept']), answered(2, 'a', undefined), answered(3, 'b', '1')],
  ],
  [
    'G9: the global has lost its store too, and the zone was connected to it again',
    judgeNameSafety(100),
    [answered(0, 'a', '1'), exchanged(1, 'global'), opened(2), applied(2, 1), exchanged(3, 'z'), answered(4, 'b', '1')],
    [answered(0, 'a', '1'), exchanged(1, 'global'), opened(2), exchanged(3, 'z'), answered(4, 'b', '1')],
  ],
  [
    'G9: the global has lost its store too, and the zone applied only the lost history after that',
    judgeNameSafety(100),
    [answered(0, 'a', '1'), applied(1, 1), exchanged(2, 'z'), answered(4, 'b', '1')],
    [answered(0, 'a', '1'), exchanged(1, 'global'), applied(2, 1), exchanged(3, 'z'), answered(4, 'b', '1')],
  ],
  [
    'G9: the global loses its store after the zone, which was connected in between',
    judgeNameSafety(100),
    [answered(0, 'a', '1'), exchanged(1, 'z'), applied(2, 1), exchanged(3, 'global'), answered(4, 'b', '1')],
    [answered(0, 'a', '1'), exchanged(1, 'z'), exchanged(3, 'global'), answered(4, 'b', '1')],
  ],
  ['G10: one request failed', judgeTraffic, [request(true), request(false)], [request(true), request(true)]],
]

describe('limits of the judges', () => {
  it.each(cases)(
    'J1 a judge rejects a history just beyond its limit, and accepts one at the limit: %s',
    (_title, judge, violating, sound) => {
      expect(judge(violating)).toHaveLength(1)
      expect(judge(sound)).toEqual([])
    },
  )

  it('J1 the judge of G7 rejects a time that is above the floor and more than twice the former time', () => {
    const lags = (ms: number): HistoryEvent[] => [{ type: 'lag', atMs: 0, zone: 'z', ms }]
    expect(judgeIsolation(lags(121), lags(60))).toHaveLength(1)
    expect(judgeIsolation(lags(120), lags(60))).toEqual([])
    expect(judgeIsolation(lags(51), lags(10))).toHaveLength(1)
    expect(judgeIsolation(lags(50), lags(10))).toEqual([])
  })
})
