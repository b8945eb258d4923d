import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSearches, type SearchEffect } from '../../src/refusals/search.ts'

/** Plays an Envoy that refuses every table with a guilty part, until the search ends. */
function play(size: number, guilty: ReadonlySet<string>) {
  const searches = createSearches()
  const all = Array.from({ length: size }, (_unused, index) => ({ source: `s${index}`, hash: 'h' }))
  const inTable = new Set(all.map((suspect) => suspect.source))
  let lastGood = new Set<string>()
  const found = new Set<string>()
  const alone = new Set<string>()
  let tries = 0
  const apply = (effects: readonly SearchEffect[]) => {
    for (const effect of effects) {
      if (effect.type === 'exclude') inTable.delete(effect.suspect.source)
      if (effect.type === 'readmit') inTable.add(effect.suspect.source)
      if (effect.type !== 'guilty') continue
      found.add(effect.suspect.source)
      if (!effect.detail.endsWith('(not tried alone)')) alone.add(effect.suspect.source)
    }
    if (effects.some((effect) => effect.type === 'readmit')) tries += 1
    return effects.length > 0
  }
  for (let continues = true; continues; ) {
    const bad = [...inTable].some((source) => guilty.has(source))
    if (bad) {
      const changed = all.filter((suspect) => inTable.has(suspect.source) && !lastGood.has(suspect.source))
      continues = apply(searches.refused('k', changed, 'no'))
    } else {
      lastGood = new Set(inTable)
      continues = apply(searches.accepted('k'))
    }
  }
  return { found, alone, inTable, tries, open: searches.keys() }
}

test('Z17 for any guilty subset of up to eight changed parts, exactly these stay out, and all others are served', () => {
  let walked = 0
  for (let size = 1; size <= 8; size += 1) {
    for (let mask = 1; mask < 2 ** size; mask += 1) {
      const guilty = new Set(
        Array.from({ length: size }, (_unused, index) => `s${index}`).filter((_source, index) => (mask >> index) & 1),
      )
      const { found, inTable, open } = play(size, guilty)
      expect([[...found].sort(), inTable.size, open]).toEqual([[...guilty].sort(), size - guilty.size, []])
      walked += 1
    }
  }
  expect(walked).toBe(502)
})

test('Z18 one guilty part among many is found in at most eight attempts, and a search ends for any number of guilty parts', () => {
  for (const size of [9, 64, 100, 128]) {
    for (let at = 0; at < size; at += 1) {
      const one = play(size, new Set([`s${at}`]))
      expect([one.found, one.inTable.size, one.open]).toEqual([new Set([`s${at}`]), size - 1, []])
      expect(one.tries).toBeLessThanOrEqual(8)
    }
  }
  // Beyond that, a few innocent parts stay out with it, marked as not tried alone. All others are served.
  const large = play(1000, new Set(['s700']))
  expect(large.found).toContain('s700')
  expect([large.found.size, large.inTable.size, large.tries]).toEqual([8, 992, 8])
  const every = play(64, new Set(Array.from({ length: 64 }, (_unused, index) => `s${index}`)))
  expect([every.found.size, every.inTable.size, every.open, every.tries]).toEqual([64, 0, [], 8])
})

test('Z18 for any number of guilty parts none is served, and a part that is left out without its own attempt is reported as such', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 150 }), fc.array(fc.nat(149), { maxLength: 12 }), (size, at) => {
      const guilty = new Set(at.map((index) => `s${index % size}`))
      const { found, alone, inTable, tries, open } = play(size, guilty)
      expect([...inTable].filter((source) => guilty.has(source))).toEqual([])
      expect([...alone].filter((source) => !guilty.has(source))).toEqual([])
      expect(found.size + inTable.size).toBe(size)
      expect([tries <= 8, open]).toEqual([true, []])
    }),
  )
})

test('Z18 a part that is written during a search is a suspect too, and no innocent part is blamed', () => {
  const searches = createSearches()
  const of = (...sources: string[]) => sources.map((source) => ({ source, hash: 'h' }))
  searches.refused('k', of('a', 'b'), 'no')
  searches.accepted('k')
  // The next table holds "a" and the new "c", which is the bad one.
  const effects = searches.refused('k', of('a', 'c'), 'no')
  expect(effects.filter((one) => one.type === 'guilty')).toEqual([])
  expect(effects.flatMap((one) => (one.type === 'exclude' ? one.suspect.source : []))).toEqual(['a', 'c'])
})

test('Z19 a row that is written again is not a suspect, and when a proxy disconnects its search ends with the untested parts left out', () => {
  const searches = createSearches()
  const suspects = ['a', 'b', 'c', 'd'].map((source) => ({ source, hash: 'h' }))
  searches.refused('k', suspects, 'no')
  searches.accepted('k')
  searches.drop('a')
  const left = searches.end('k').flatMap((effect) => (effect.type === 'guilty' ? [effect.suspect.source] : []))
  expect([left, searches.keys()]).toEqual([['b', 'c', 'd'], []])
})

test('Z18 a row that is written again is not suspected in any of its parts, and no other row is affected', () => {
  const searches = createSearches()
  const part = (source: string) => ({ source, hash: 'h' })
  searches.refused('k', [part('g/K/m/a/1'), part('g/K/m/a/2'), part('g/K/m/ab'), part('g/K/m/b')], 'no')
  searches.drop('g/K/m/a')
  expect(searches.accepted('k')).toEqual([{ type: 'readmit', suspect: part('g/K/m/ab') }])
  expect(searches.accepted('k')).toEqual([{ type: 'readmit', suspect: part('g/K/m/b') }])
})

const part = (source: string, hash = 'h') => ({ source, hash })
const shown = (effects: readonly SearchEffect[]) =>
  effects.map(({ type, suspect: { source, hash } }) => `${type} ${source} ${hash}`)

test('Z17 a single part that is refused is guilty at once, and a refusal without a changed part has no effects', () => {
  const searches = createSearches()
  expect(searches.refused('k', [part('a')], 'no')).toEqual([
    { type: 'exclude', suspect: part('a') },
    { type: 'guilty', suspect: part('a'), detail: 'no' },
  ])
  expect(searches.refused('k', [], 'no')).toEqual([])
  expect([searches.accepted('k'), searches.end('k'), searches.keys()]).toEqual([[], [], []])
})

test('Z17 another refusal before an answer has no effects without new parts, and the newest reason counts', () => {
  const searches = createSearches()
  searches.refused('k', [part('a'), part('b')], 'first')
  expect(searches.refused('k', [], 'second')).toEqual([])
  expect(shown(searches.accepted('k'))).toEqual(['readmit a h'])
  expect(searches.refused('k', [], 'third')).toEqual([
    { type: 'exclude', suspect: part('a') },
    { type: 'guilty', suspect: part('a'), detail: 'third' },
    { type: 'readmit', suspect: part('b') },
  ])
})

test('Z18 a part that was written again with other content is another suspect', () => {
  const searches = createSearches()
  searches.refused('k', [part('a'), part('b')], 'no')
  expect(shown(searches.accepted('k'))).toEqual(['readmit a h'])
  // The part "a" was written again, and the table holds both versions as far as the search knows.
  expect(shown(searches.refused('k', [part('a'), part('a', 'new')], 'no'))).toEqual([
    'exclude a h',
    'exclude a new',
    'readmit a h',
  ])
})

test('Z19 when a proxy disconnects, each part that was not tried stays out, with a reason that states it', () => {
  const searches = createSearches()
  searches.refused('k', [part('a'), part('b')], 'no')
  searches.refused('other', [part('x'), part('y')], 'no')
  const detail = 'no (the proxy disconnected before it was tried alone)'
  expect(searches.end('k')).toEqual(
    [part('a'), part('b')].flatMap((suspect) => [
      { type: 'exclude', suspect },
      { type: 'guilty', suspect, detail },
    ]),
  )
  expect([searches.end('k'), searches.keys()]).toEqual([[], ['other']])
})

test('Z18 if a row among refused parts is written again, the others are tried again and may be innocent', () => {
  const searches = createSearches()
  searches.refused('k', [part('a'), part('b')], 'no')
  searches.drop('a')
  expect(shown(searches.accepted('k'))).toEqual(['readmit b h'])
  expect([searches.accepted('k'), searches.keys()]).toEqual([[], []])
})
