import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'
import { rowsColumns, zonesColumns } from '../bench/scale/scale-table.ts'

const root = resolve(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/scale.md'), 'utf8')

/** The tables of the page, each as rows of cells without markup. The first row has the titles. */
const tables = [...page.matchAll(/(?:^\|.*\|\n)+/gm)].map(([text]) =>
  text
    .trim()
    .split('\n')
    .filter((line) => !/^\|[-|: ]+\|$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim().replaceAll('`', '')),
    ),
)
const tableWith = (title: string) => tables.find(([titles]) => titles?.[0] === title) ?? []

it('SM9 the measured tables of docs/scale.md have the columns of the bench, and its sizes', () => {
  for (const columns of [zonesColumns, rowsColumns]) {
    const [titles, ...rows] = tableWith(columns[0])
    expect(titles).toEqual([...columns])
    expect(rows.length).toBe(3)
    expect(rows.flat().filter((cell) => !/^[\d.]+$/.test(cell))).toEqual([])
  }
})
