import { structuredPatch } from 'diff'
import type { Colour } from './colour.ts'

const contextLines = 3
/**
 * Above this number of changed lines, both texts are shown as a whole, because finding the smallest difference would
 * take too long.
 */
const editsMax = 2_000

/** The difference of two texts as `diff -u` and git print it, without the file names. Empty if they are equal. */
export function unifiedDiff(before: readonly string[], after: readonly string[]): string[] {
  const options = { context: contextLines, maxEditLength: editsMax }
  const patch = structuredPatch('', '', textOf(before), textOf(after), '', '', options)
  if (!patch) return replaced(before, after)
  return patch.hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
    hunkHeader(oldStart, oldLines, newStart, newLines),
    ...lines,
  ])
}

/** Each line ends with a line break, including the last one. */
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

function replaced(before: readonly string[], after: readonly string[]): string[] {
  const lines = [...before.map((line) => `-${line}`), ...after.map((line) => `+${line}`)]
  return [hunkHeader(1, before.length, 1, after.length), ...lines]
}

/** If a side has no lines, the header names the line above it. A single line has no count. */
function hunkHeader(oldStart: number, oldLines: number, newStart: number, newLines: number): string {
  const range = (start: number, count: number) =>
    count === 1 ? `${start}` : `${count === 0 ? start - 1 : start},${count}`
  return `@@ -${range(oldStart, oldLines)} +${range(newStart, newLines)} @@`
}

/** The colour of a line of a difference, as git has it. */
export function colourOf(line: string): Colour | undefined {
  if (line.startsWith('---') || line.startsWith('+++')) return 'bold'
  if (line.startsWith('@@')) return 'cyan'
  if (line.startsWith('-')) return 'red'
  return line.startsWith('+') ? 'green' : undefined
}
