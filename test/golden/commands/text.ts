import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unifiedDiff } from '@zonemesh/cli/output/unified-diff.ts'
import { expect } from 'vitest'

const isUpdate = process.env['UPDATE_GOLDEN'] === '1'

/** One call of a command: what a user types, and what the terminal shows. */
export interface Shown {
  /** The situation in a few words. */
  readonly title: string
  readonly command: string
  readonly lines: readonly string[]
}

/**
 * What differs from run to run, and its replacement: ids of stores, revisions with ids of commits, the port of a plane of
 * the test, moments, ages in tables, and delays. Columns stay as they are printed.
 */
const replacements: readonly (readonly [RegExp, string | ((found: string) => string)])[] = [
  [/\b[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\b/g, '00000000-0000-0000-0000-000000000000'],
  [/@\d+\.[\da-f]{16}\b/g, '@9.0000000000000000'],
  [/\b127\.0\.0\.1:\d{5}\b/g, '127.0.0.1:50000'],
  [/\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\b/g, '2026-01-01T00:00:00.000Z'],
  [/ {2}\d+s(?= |$)/gm, (found) => '  0s'.padEnd(found.length)],
  [/ +$/gm, ''],
  [/\bafter [\d.]+ ms\b/g, 'after 1 ms'],
]

/** The texts of several calls as one page, without what differs from run to run. */
function pageOf(shown: readonly Shown[]): string {
  const page = shown.map(({ title, command, lines }) => [`# ${title}`, `$ ${command}`, ...lines, ''].join('\n'))
  return replacements.reduce(
    (text, [found, shownAs]) =>
      typeof shownAs === 'string' ? text.replace(found, shownAs) : text.replace(found, shownAs),
    page.join('\n'),
  )
}

/** What commands print equals the page `NAME.txt` of this folder, byte for byte. */
export function expectPage(name: string, shown: readonly Shown[]): void {
  const path = join(import.meta.dirname, `${name}.txt`)
  const page = pageOf(shown)
  const before = existsSync(path) ? readFileSync(path, 'utf8') : ''
  if (before === page) return
  if (isUpdate) {
    writeFileSync(path, page)
    return
  }
  const remedy = 'If the change is intended, run "npm run golden", read "git diff test/golden", and commit it.'
  const difference = unifiedDiff(before.split('\n'), page.split('\n'))
  expect.fail(
    [`test/golden/commands/${name}.txt (-) is not what is printed now (+). ${remedy}`, ...difference].join('\n'),
  )
}
