import { structuredPatch } from 'diff'

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

const red = '\u001b[31m'
const green = '\u001b[32m'
const cyan = '\u001b[36m'
const bold = '\u001b[1m'
const plain = '\u001b[0m'

/** Colours a line of a difference as git does. */
export function coloured(line: string): string {
  if (line.startsWith('---') || line.startsWith('+++')) return `${bold}${line}${plain}`
  if (line.startsWith('@@')) return `${cyan}${line}${plain}`
  if (line.startsWith('-')) return `${red}${line}${plain}`
  return line.startsWith('+') ? `${green}${line}${plain}` : line
}

/** Whether stdout is a terminal and NO_COLOR is not set (no-color.org). */
export const wantsColour = (): boolean => process.stdout.isTTY === true && !process.env['NO_COLOR']
