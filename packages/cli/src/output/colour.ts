/** What a colour means in every command: red needs an operator, yellow may pass, green is as it should be. */
const codes = { red: 31, green: 32, yellow: 33, cyan: 36, bold: 1 } as const
export type Colour = keyof typeof codes

interface Stream {
  readonly isTTY?: boolean
}
type Environment = Readonly<Record<string, string | undefined>>

/** Whether a stream is a terminal that can move its cursor. */
export const isTerminal = (stream: Stream = process.stdout, environment: Environment = process.env): boolean =>
  stream.isTTY === true && environment['TERM'] !== 'dumb'

/**
 * Whether to print colours on a stream: on a terminal, and with FORCE_COLOR also in a pipe. NO_COLOR (no-color.org)
 * decides before both.
 */
export function wantsColour(stream: Stream = process.stdout, environment: Environment = process.env): boolean {
  const { NO_COLOR: none, FORCE_COLOR: forced } = environment
  if (none) return false
  return forced === undefined || forced === '' ? isTerminal(stream, environment) : !['0', 'false'].includes(forced)
}

/** A whole line in a colour, whether the output shows colours or not. */
export const inColour = (line: string, colour: Colour): string => `\u001b[${codes[colour]}m${line}\u001b[0m`

/** A whole line of standard output in a colour, if it shows colours. */
export const painted = (line: string, colour: Colour | undefined): string =>
  colour !== undefined && wantsColour() ? inColour(line, colour) : line
