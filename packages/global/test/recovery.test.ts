import { mergeCopies, type ZoneCopy } from '@zonemesh/global/recovery/merge.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { expect, test } from 'vitest'

const row = (kind: string, name: string, originRevision: number, spec = {}): Row => ({
  key: { origin: 'global', kind, mesh: kind === 'Mesh' ? '' : 'default', name },
  stamp: { incarnation: 1, originRevision, createdAtMs: 0, modifiedAtMs: 0 },
  labels: {},
  spec,
})
const copy = (zone: string, revision: number, ...rows: Row[]): ZoneCopy => ({
  zone,
  position: { store: 's', revision, commitId: 'c' },
  rows,
})
const names = (list: readonly { readonly row: Row; readonly zone: string }[]) =>
  list.map(({ row: { key, stamp }, zone }) => `${zone}: ${key.kind} ${key.name}@${stamp.originRevision}`)

test('V13 the zone with the highest position defines which rows exist, and a zone behind it restores no deleted row', () => {
  const east = copy('east', 10, row('Mesh', 'default', 1), row('Timeout', 'a', 3), row('Timeout', 'deleted', 4))
  const west = copy('west', 12, row('Mesh', 'default', 1), row('Timeout', 'a', 11))
  const merged = mergeCopies([east, west])
  expect(merged.newest).toBe(west)
  expect(names(merged.rows)).toEqual(['west: Mesh default@1', 'west: Timeout a@11'])
  expect(names(merged.leftOut)).toEqual(['east: Timeout deleted@4'])
})

test('V13 a row that only one zone receives is taken from that zone, and a kind that never leaves the global from none', () => {
  const ofEast = row('AuthorityCertificate', 'east', 5, { zone: 'east' })
  const ofWest = row('AuthorityCertificate', 'west', 6, { zone: 'west' })
  const east = copy('east', 10, ofEast, row('Secret', 'no', 2))
  const merged = mergeCopies([east, copy('west', 12, ofWest)])
  expect(names(merged.rows)).toEqual(['west: AuthorityCertificate west@6', 'east: AuthorityCertificate east@5'])
  expect(merged.leftOut).toEqual([])
})
