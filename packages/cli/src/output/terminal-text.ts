import { wantsColour } from './unified-diff.ts'

/** What a terminal obeys instead of showing: controls but newline and tab, and marks that turn the direction of text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to be found
const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same
const paintedLine = /^(\u001b\[\d+m)([\s\S]*)(\u001b\[0m)$/

const codeOf = (character: string): number => character.codePointAt(0) ?? 0

const escapedControl = (character: string): string => {
  const code = codeOf(character)
  return code > 0xff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\x${code.toString(16).padStart(2, '0')}`
}

/**
 * Text as it may reach a terminal: names, reasons and host names come from other machines, and their escape sequences must not move the
 * cursor or set a title. Lines keep their breaks; a line that a command has painted as a whole keeps its colour.
 */
export function terminalText(text: string, isPainted = wantsColour()): string {
  const [, before = '', inner = text, after = ''] = (isPainted ? paintedLine.exec(text) : null) ?? []
  return before + inner.replace(obeyed, escapedControl) + after
}

/** Text for one cell or one line: it has no breaks of its own. */
export const oneLine = (text: string): string => text.replace(/[\n\r\t]/g, escapedControl)

/** JSON for people and programs: what a terminal obeys is escaped as JSON has it, so a program reads the same text. */
export const jsonText = (value: unknown): string =>
  JSON.stringify(value, null, 2).replace(obeyed, (character) => `\\u${codeOf(character).toString(16).padStart(4, '0')}`)
