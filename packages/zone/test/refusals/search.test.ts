import { expect, test } from 'vitest'
import { createSearches, type SearchEffect } from '../../src/refusals/search.ts'

/** Plays an Envoy that refuses every table with a guilty part in it, until the search is over. */
function play(size: number, guilty: ReadonlySet<string>) {
  const searches = createSearches()
  const all = Array.from({ length: size }, (_unused, index) => ({ source: `s${index}`, hash: 'h' }))
  const inTable = new Set(all.map((suspect) => suspect.source))
  let lastGood = new Set<string>()
  const found = new Set<string>()
  let tables = 0
  let refusedTables = 0
  const apply = (effects: readonly SearchEffect[]) => {
    for (const effect of effects) {
      if (effect.type === 'exclude') inTable.delete(effect.suspect.source)
      if (effect.type === 'readmit') inTable.add(effect.suspect.source)
      if (effect.type === 'guilty') found.add(effect.suspect.source)
    }
    return effects.length > 0
  }
  for (let goesOn = true; goesOn; ) {
    tables += 1
    const bad = [...inTable].some((source) => guilty.has(source))
    if (bad) {
      refusedTables += 1
      const changed = all.filter((suspect) => inTable.has(suspect.source) && !lastGood.has(suspect.source))
      goesOn = apply(searches.refused('k', changed, 'no'))
    } else {
      lastGood = new Set(inTable)
      goesOn = apply(searches.accepted('k'))
    }
  }
  return { found, inTable, tables, refusedTables, open: searches.keys() }
}

test('Z17 whichever of up to seven changed parts are guilty: just these stay out, all others are served', () => {
  let walked = 0
  for (let size = 1; size <= 7; size += 1) {
    for (let mask = 1; mask < 2 ** size; mask += 1) {
      const guilty = new Set(
        Array.from({ length: size }, (_unused, index) => `s${index}`).filter((_source, index) => (mask >> index) & 1),
      )
      const { found, inTable, open } = play(size, guilty)
      expect([[...found].sort(), inTable.size, open]).toEqual([[...guilty].sort(), size - guilty.size, []])
      walked += 1
    }
  }
  expect(walked).toBe(247)
})

test('Z18 one guilty part among many costs tables by the logarithm, and a search ends however many are guilty', () => {
  const one = play(256, new Set(['s200']))
  expect([one.found, one.inTable.size]).toEqual([new Set(['s200']), 255])
  expect(one.tables).toBeLessThan(30)
  const every = play(64, new Set(Array.from({ length: 64 }, (_unused, index) => `s${index}`)))
  expect([every.found.size, every.inTable.size, every.open]).toEqual([64, 0, []])
  expect(every.tables).toBeLessThan(60)
})

test('Z19 a row that is written again is no suspect; a proxy that leaves ends its search with what was not tried left out', () => {
  const searches = createSearches()
  const suspects = ['a', 'b', 'c', 'd'].map((source) => ({ source, hash: 'h' }))
  searches.refused('k', suspects, 'no')
  searches.accepted('k')
  searches.drop('a')
  const left = searches.end('k').flatMap((effect) => (effect.type === 'guilty' ? [effect.suspect.source] : []))
  expect([left, searches.keys()]).toEqual([['b', 'c', 'd'], []])
})
