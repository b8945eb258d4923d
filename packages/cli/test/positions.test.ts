import { judgeOrdered } from '@zonemesh/shared/guarantees/g1-ordered.ts'
import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import { expect, test } from 'vitest'
import { createPositions } from '../src/chaos/positions.ts'
import type { ZoneSample } from '../src/chaos/samples.ts'

/** Reports of a zone, one sample every 10 ms. */
const look = (at: number, revision: number, current = false): ZoneSample => ({
  requestedAtMs: at * 10,
  atMs: at * 10 + 9,
  zone: 'east',
  answered: true,
  phase: 'connected',
  reason: '',
  epoch: 4,
  store: 'a',
  revision,
  current,
  lag: 0,
  bookmarkMsAgo: 0,
  hold: '',
  isRelayed: false,
  replicas: 0,
  proxies: {},
})

function scene() {
  const history: HistoryEvent[] = []
  const positions = createPositions((event) => void history.push(event))
  const reasons = () => judgeOrdered(history).map(({ reason }) => reason)
  return { positions, reasons }
}

test('G1 a zone may show its former position after its release and then a position of the older history', () => {
  const { positions, reasons } = scene()
  positions.see(look(1, 160))
  positions.releasing('east', 25)
  for (const one of [look(2, 160), look(3, 160), look(4, 157), look(5, 158, true)]) positions.see(one)
  expect(reasons()).toEqual([])
})

test('G1 a release allows one step back, and no step back once the zone is current', () => {
  const twice = scene()
  twice.positions.see(look(1, 160))
  twice.positions.releasing('east', 25)
  for (const one of [look(3, 157), look(4, 158), look(5, 156)]) twice.positions.see(one)
  expect(twice.reasons()).toEqual(['zone east took revision 156 after 158 of store a'])
  const late = scene()
  late.positions.see(look(1, 160))
  late.positions.releasing('east', 25)
  for (const one of [look(2, 160, true), look(3, 161, true), look(4, 157)]) late.positions.see(one)
  expect(late.reasons()).toEqual(['zone east took revision 157 after 161 of store a'])
})

test('G1 what another replica repeats of the session does not count if it is older, and counts if it is newer', () => {
  const { positions, reasons } = scene()
  positions.see(look(1, 160))
  positions.see({ ...look(2, 158), isRelayed: true })
  expect(positions.newest('east')?.revision).toBe(160)
  positions.see({ ...look(3, 161), isRelayed: true })
  expect(reasons()).toEqual([])
  positions.see(look(4, 159))
  expect(reasons()).toEqual(['zone east took revision 159 after 161 of store a'])
})
