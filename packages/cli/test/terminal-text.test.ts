import fc from 'fast-check'
import { expect, test } from 'vitest'
import { table } from '../src/output/table.ts'
import { jsonText, oneLine, terminalText } from '../src/output/terminal-text.ts'

test('B41 control characters are shown as text, and all other text stays unchanged', () => {
  expect(terminalText('\u001b]0;title\u0007 \u009b2J \u007f \r \u202e')).toBe(
    '\\x1b]0;title\\x07 \\x9b2J \\x7f \\x0d \\u202e',
  )
  expect(terminalText('a\n\tb – ✔ Zürich')).toBe('a\n\tb – ✔ Zürich')
  expect(oneLine('a\nb')).toBe('a\\x0ab')
  expect(table(['A'], [['one\ntwo']])).toEqual(['A', 'one\\x0atwo'])
})

test('B41 only the colour of a whole line is kept, and only on a terminal', () => {
  const line = '\u001b[31mheld by \u001b[2J evil\u001b[0m'
  expect(terminalText(line, true)).toBe('\u001b[31mheld by \\x1b[2J evil\u001b[0m')
  expect(terminalText(line, false)).not.toContain('\u001b')
})

test('B41 JSON output stays unchanged for programs', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ unit: 'binary' }), (value, text) => {
      const shown = terminalText(jsonText({ value, text }), false)
      expect(JSON.parse(shown)).toEqual(JSON.parse(JSON.stringify({ value, text })))
    }),
  )
})
