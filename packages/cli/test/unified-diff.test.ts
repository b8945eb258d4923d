import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inColour } from '../src/output/colour.ts'
import { colourOf, unifiedDiff } from '../src/output/unified-diff.ts'

/** Applies hunks as `patch` does: removes the lines of one side and inserts those of the other. */
function patched(before: readonly string[], lines: readonly string[]): string[] {
  const result: string[] = []
  let at = 0
  for (const line of lines) {
    const range = /^@@ -(\d+)(?:,(\d+))? \+/.exec(line)
    if (range) {
      const start = Number(range[1]) - (range[2] === '0' ? 0 : 1)
      result.push(...before.slice(at, start))
      at = start
    } else if (line.startsWith('+')) result.push(line.slice(1))
    else {
      expect(before[at]).toBe(line.slice(1))
      if (line.startsWith(' ')) result.push(line.slice(1))
      at += 1
    }
  }
  return [...result, ...before.slice(at)]
}

const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 })

test('B9 a patch turns one text into the other, is empty for equal texts, and keeps common lines', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const lines = unifiedDiff(before, after)
      expect(patched(before, lines)).toEqual(after)
      if (before.join() === after.join()) expect(lines).toEqual([])
    }),
  )
})

test('B9 an empty side is named by the line above it, and a single line has no count', () => {
  expect(unifiedDiff([], ['a'])).toEqual(['@@ -0,0 +1 @@', '+a'])
  expect(unifiedDiff(['a', 'b'], [])).toEqual(['@@ -1,2 +0,0 @@', '-a', '-b'])
  expect(unifiedDiff(['a'], ['b'])).toEqual(['@@ -1 +1 @@', '-a', '+b'])
})

test('B9 distant changes are in separate hunks with three lines of context', () => {
  const before = Array.from({ length: 30 }, (_unused, index) => `line ${index + 1}`)
  const after = before.map((line) => (line === 'line 5' || line === 'line 25' ? `${line}!` : line))
  const lines = unifiedDiff(before, after)
  expect(lines.filter((line) => line.startsWith('@@'))).toEqual(['@@ -2,7 +2,7 @@', '@@ -22,7 +22,7 @@'])
  expect(lines).toHaveLength(2 + 2 * 8)
})

test('B9 large texts are shown as replaced instead of compared without limit', () => {
  const many = (letter: string) => Array.from({ length: 5_000 }, (_unused, index) => `${letter}${index}`)
  expect(unifiedDiff(many('a'), many('b'))).toHaveLength(10_001)
})

test('B9 a line gets its colour from its first character', () => {
  expect(['+a', '-a', ' a', '@@ -1 +1 @@', '--- a'].map(colourOf)).toEqual(['green', 'red', undefined, 'cyan', 'bold'])
  expect(inColour('+a', 'green')).toBe('\u001b[32m+a\u001b[0m')
})
