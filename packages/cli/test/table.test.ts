import { expect, test } from 'vitest'
import { columns, table } from '../src/output/table.ts'

test('B13 each column is as wide as its widest cell, and the last cell of a row widens none', () => {
  expect(
    table(
      ['NAME', 'STATE', ''],
      [
        ['a-long-name', 'up', 'a reason that is longer than all others'],
        ['b', 'refused', ''],
      ],
    ),
  ).toEqual([
    'NAME         STATE    ',
    'a-long-name  up       a reason that is longer than all others',
    'b            refused  ',
  ])
  expect(columns([['--a-flag-that-stands-alone'], ['', 'help'], ['--b', 'help']])).toEqual([
    '--a-flag-that-stands-alone',
    '     help',
    '--b  help',
  ])
})

test('B13 a cell with line breaks stays one line', () => {
  expect(table(['A', 'B'], [['x\ny', 'z']])).toEqual(['A       B', 'x\\x0ay  z'])
})
