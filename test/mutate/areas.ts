import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** The measured folders, and the tests that should detect a mistake there: files, or all files of folders. */
const testsByArea: Readonly<Record<string, readonly string[]>> = {
  'packages/shared/src/sync': [
    'packages/shared/test/sync',
    'test/explore/sync-inbound.test.ts',
    'test/explore/sync-outbound.test.ts',
  ],
  'packages/shared/src/store': ['packages/shared/test/store', 'test/contract/store.test.ts'],
  'packages/shared/src/dns': ['packages/shared/test/dns'],
  'packages/shared/src/auth': ['packages/shared/test/auth', 'packages/zone/test/join-file.test.ts'],
  'packages/zone/src/xds': ['packages/zone/test/xds', 'test/explore/ads-step.test.ts'],
  'packages/zone/src/door': ['packages/zone/test/door'],
  'packages/zone/src/leases': [
    'packages/zone/test/leases',
    'test/explore/leases.test.ts',
    'test/explore/leases-many.test.ts',
  ],
  'packages/zone/src/refusals': ['packages/zone/test/refusals'],
  'packages/zone/src/engine': ['packages/zone/test/engine'],
  'packages/plane/src/api': ['packages/plane/test/api', 'packages/global/test'],
  'packages/plane/src/tokens': ['packages/plane/test/tokens'],
  'packages/core/src/view': ['packages/core/test/view', 'packages/core/test/compile/replay.test.ts'],
  'packages/core/src/names': ['packages/core/test/names'],
  'packages/core/src/match': ['packages/core/test/match', 'test/golden'],
  'packages/core/src/emit': ['packages/core/test/emit/routes.test.ts', 'test/golden'],
  'packages/core/src/gateway': ['packages/core/test/gateway', 'test/golden'],
  'packages/core/src/edge': ['packages/core/test/edge', 'test/golden'],
}

export const areas: readonly string[] = Object.keys(testsByArea)

/** The area of a file: a measured folder, or the folder it lies in. */
export const areaOf = (file: string): string =>
  areas.find((area) => file.startsWith(`${area}/`)) ?? file.slice(0, file.lastIndexOf('/'))

/** The test files that are nearest to an area. */
export function testsOf(area: string): readonly string[] {
  const places = testsByArea[area] ?? [area.replace('/src/', '/test/')]
  return places.flatMap((place) => filesBelow(place, (file) => file.endsWith('.test.ts')))
}

export const sourcesBelow = (place: string): readonly string[] =>
  filesBelow(place, (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))

function filesBelow(place: string, isWanted: (file: string) => boolean): readonly string[] {
  if (place.endsWith('.ts')) return existsSync(join(root, place)) ? [place] : []
  if (!existsSync(join(root, place))) return []
  return readdirSync(join(root, place), { recursive: true, encoding: 'utf8' })
    .map((file) => join(place, file))
    .filter(isWanted)
    .sort()
}
