import { wantsColour } from './colour.ts'

/**
 * Characters that control a terminal: control characters except newline and tab, and marks that change the direction of
 * text.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the expression finds control characters
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above, the expression finds control characters
const paintedLine = /^(\u001b\[\d+m)([\s\S]*)(\u001b\[0m)$/

const codeOf = (character: string): number => character.codePointAt(0) ?? 0

const escapedControl = (character: string): string => {
  const code = codeOf(character)
  return code > 0xff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\x${code.toString(16).padStart(2, '0')}`
}

/**
 * Text that is safe for a terminal. Names, reasons and hostnames come from other machines, and their escape sequences
 * must not move the cursor or set a title. Line breaks are kept; a line that a command has coloured as a whole keeps
 * its colour.
 */
export function terminalText(text: string, isPainted = wantsColour()): string {
  const [, before = '', inner = text, after = ''] = (isPainted ? paintedLine.exec(text) : null) ?? []
  return before + inner.replace(unsafe, escapedControl) + after
}

/** Text for one cell or one line, without line breaks. */
export const oneLine = (text: string): string => text.replace(/[\n\r\t]/g, escapedControl)

/** JSON for users and programs. Terminal controls are escaped as JSON escapes, so a program reads the same text. */
export const jsonText = (value: unknown, indent = 2): string =>
  JSON.stringify(value, null, indent).replace(
    unsafe,
    (character) => `\\u${codeOf(character).toString(16).padStart(4, '0')}`,
  )
