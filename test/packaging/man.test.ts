import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadCommands } from '@zonemesh/cli/command-line.ts'
import { flagName } from '@zonemesh/plane/config/options.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ManPage, manPages } from '../../packaging/man.ts'
import { stagePackage } from '../../packaging/stage.ts'

let folder: string
let pages: readonly ManPage[]
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-man-'))
  pages = await manPages()
  await stagePackage(folder)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('B82 each command has a manual page with its options, and the npm package names all pages', async () => {
  const commands = await loadCommands()
  expect(pages.map(({ file }) => file)).toEqual([
    'zonemesh.1',
    ...commands.map(({ name }) => `zonemesh-${name.replaceAll(' ', '-')}.1`),
  ])
  for (const [index, { name, options }] of commands.entries()) {
    const text = pages[index + 1]?.text ?? ''
    for (const one of Object.keys(options)) expect(text, name).toContain(flagName(one).replaceAll('-', '\\-'))
  }
  const { man } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  expect(man).toEqual(pages.map(({ file }) => `./man/${file}`))
  expect(readdirSync(join(folder, 'man')).sort()).toEqual(pages.map(({ file }) => file).sort())
})

/** The requests of roff that the pages use. Anything else at the start of a line is text that lacks its escape. */
const requests = /^\.(TH|SH|TP|B|BR|nf|fi)( |$)/

test('B82 no text of a manual page is a request or an escape of roff, and groff finds no fault where it is installed', () => {
  const groff = spawnSync('groff', ['--version']).status === 0
  for (const { file, text } of pages) {
    const lines = text.split('\n')
    expect([file, lines.filter((line) => /^[.']/.test(line) && !requests.test(line))]).toEqual([file, []])
    // A backslash begins only escapes that the pages use: fonts, minus, backslash, quotes, and the empty one.
    expect([file, /\\(?!f[BIR]|-|e|&|\((ga|aq))/.exec(text)?.[0]]).toEqual([file, undefined])
    if (!groff) continue
    const { status, stderr } = spawnSync('groff', ['-man', '-ww', '-z', '-Tutf8', '-K', 'utf8'], { input: text })
    expect([file, status, stderr.toString()]).toEqual([file, 0, ''])
  }
})
