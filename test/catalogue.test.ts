import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/guarantees.md'), 'utf8')
const rows = [...page.matchAll(/^\| (\d+) \| (.+?) \| ([SPCL,]+) \| (.+?) \|$/gm)].map(
  ([, number, , level, tests]) => ({
    number: Number(number),
    level: level ?? '',
    files: [...(tests ?? '').matchAll(/`([^`]+\.test\.ts)`/g)].map(([, file]) => file ?? ''),
  }),
)

test('the catalogue has fifty rows, and each one that a simulation or a property can show has its test', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
  expect(rows.filter(({ level, files }) => /[SP]/.test(level) && files.length === 0)).toEqual([])
})

test('every test that the catalogue names is there and says which row it proves', () => {
  const wrong = rows.flatMap(({ number, files }) =>
    files.filter((file) => {
      const path = join(root, file)
      if (!existsSync(path)) return true
      return !new RegExp(`row ${number}\\b`).test(readFileSync(path, 'utf8'))
    }),
  )
  expect(wrong).toEqual([])
})
