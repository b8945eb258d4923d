type Edit = { readonly sign: ' ' | '-' | '+'; readonly line: string }

const contextLines = 3
/** Above this the middle is shown as replaced: comparing every line with every other would take too long. */
const cellsMax = 4_000_000

/** The lines of two texts side by side: as few as possible are taken away and added. */
function editsOf(before: readonly string[], after: readonly string[]): Edit[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1
  let end = 0
  const shorter = Math.min(before.length, after.length) - start
  while (end < shorter && before[before.length - 1 - end] === after[after.length - 1 - end]) end += 1
  const same = (line: string): Edit => ({ sign: ' ', line })
  return [
    ...before.slice(0, start).map(same),
    ...middleEdits(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ]
}

function middleEdits(before: readonly string[], after: readonly string[]): Edit[] {
  const [rows, columns] = [before.length, after.length]
  const removed = (line: string): Edit => ({ sign: '-', line })
  const added = (line: string): Edit => ({ sign: '+', line })
  if (rows * columns > cellsMax) return [...before.map(removed), ...after.map(added)]
  // common[at(i, j)]: the most lines that before[i…] and after[j…] have in common, in order.
  const common = new Uint32Array((rows + 1) * (columns + 1))
  const at = (row: number, column: number): number => common[row * (columns + 1) + column] ?? 0
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      common[row * (columns + 1) + column] =
        before[row] === after[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1))
    }
  }
  const edits: Edit[] = []
  let [row, column] = [0, 0]
  while (row < rows || column < columns) {
    const [left = '', right = ''] = [before[row], after[column]]
    if (row < rows && column < columns && left === right) {
      edits.push({ sign: ' ', line: left })
      row += 1
      column += 1
    } else if (column >= columns || (row < rows && at(row + 1, column) >= at(row, column + 1))) {
      edits.push(removed(left))
      row += 1
    } else {
      edits.push(added(right))
      column += 1
    }
  }
  return edits
}

/** The difference of two texts as `diff -u` and git print it, without the lines that name the files. Empty if they are equal. */
export function unifiedDiff(before: readonly string[], after: readonly string[]): string[] {
  const edits = editsOf(before, after)
  const lines: string[] = []
  for (let index = 0; index < edits.length; ) {
    const first = edits.findIndex(({ sign }, place) => place >= index && sign !== ' ')
    if (first === -1) break
    // A hunk goes on while the next change is near enough to share its context.
    let last = first
    for (let place = first; place < edits.length && place - last <= 2 * contextLines; place += 1)
      if (edits[place]?.sign !== ' ') last = place
    const from = Math.max(0, first - contextLines)
    const hunk = edits.slice(from, last + 1 + contextLines)
    const above = edits.slice(0, from)
    const counted = (list: readonly Edit[], without: '-' | '+') => list.filter(({ sign }) => sign !== without).length
    const range = (without: '-' | '+') => {
      const count = counted(hunk, without)
      const line = counted(above, without) + (count === 0 ? 0 : 1)
      return count === 1 ? `${line}` : `${line},${count}`
    }
    lines.push(`@@ -${range('+')} +${range('-')} @@`, ...hunk.map(({ sign, line }) => `${sign}${line}`))
    index = last + 1
  }
  return lines
}

const red = '\u001b[31m'
const green = '\u001b[32m'
const cyan = '\u001b[36m'
const bold = '\u001b[1m'
const plain = '\u001b[0m'

/** Colours as git has them, for a terminal that shows them. */
export function coloured(line: string): string {
  if (line.startsWith('---') || line.startsWith('+++')) return `${bold}${line}${plain}`
  if (line.startsWith('@@')) return `${cyan}${line}${plain}`
  if (line.startsWith('-')) return `${red}${line}${plain}`
  return line.startsWith('+') ? `${green}${line}${plain}` : line
}

/** A terminal, and nobody has asked for no colours (no-color.org). */
export const wantsColour = (): boolean => process.stdout.isTTY === true && !process.env['NO_COLOR']
