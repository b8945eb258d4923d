import type { Context } from '../base/command.ts'
import { type Colour, inColour, isTerminal, wantsColour } from './colour.ts'
import { oneLine, terminalText } from './terminal-text.ts'

/** Shows a text that changes: a terminal is redrawn, and any other output gets one block after the other. */
export function createScreen({ print }: Pick<Context, 'print'>) {
  let blocks = 0
  return {
    isTerminal: isTerminal(),
    show(lines: readonly string[]): void {
      // Cursor to the top left, and the rest of the screen is cleared.
      if (isTerminal()) process.stdout.write('\u001b[H\u001b[J')
      else if (blocks > 0) print('')
      for (const line of lines) print(line)
      blocks += 1
    },
  }
}

/** Progress on standard error: one line that is rewritten on a terminal, and a line per change anywhere else. */
export function createProgress({ note }: Pick<Context, 'note'>) {
  let shown = ''
  const clear = () => {
    if (isTerminal(process.stderr) && shown !== '') process.stderr.write('\r\u001b[K')
  }
  return {
    show(line: string, colour?: Colour): void {
      if (line === shown) return
      clear()
      shown = line
      if (isTerminal(process.stderr)) process.stderr.write(coloured(fitted(terminalText(oneLine(line), false)), colour))
      else note(line)
    },
    end(): void {
      clear()
      shown = ''
    },
  }
}

const coloured = (line: string, colour: Colour | undefined): string =>
  colour !== undefined && wantsColour(process.stderr) ? inColour(line, colour) : line

/** A line that wraps could not be rewritten. */
function fitted(line: string): string {
  const width = (process.stderr.columns || 80) - 1
  return line.length > width ? `${line.slice(0, width - 1)}…` : line
}
