import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { root, temporaryFolder } from './rig.ts'
import { createShell } from './scene-folder.ts'

/** A step of a page: a file to write, or commands to run in a shell, with the output that the page shows. */
type Step =
  | { readonly type: 'file'; readonly name: string; readonly content: string }
  | { readonly type: 'run'; readonly commands: string; readonly output: string | undefined }

/** The steps of a page, in order. A block of output belongs to the commands above it. */
function stepsOf(page: string): readonly Step[] {
  const steps: Step[] = []
  const text = readFileSync(join(root, page), 'utf8')
  for (const [, file, language, content = ''] of text.matchAll(
    /(?:`([^`\n]+)`:\n\n)?```(sh|text|yaml)\n([\s\S]*?)```/g,
  )) {
    if (language === 'sh') steps.push({ type: 'run', commands: content, output: undefined })
    else if (language === 'yaml') steps.push({ type: 'file', name: file ?? '', content })
    else {
      const before = steps.pop()
      if (before?.type !== 'run') throw new Error(`${page}: output without commands: ${content}`)
      steps.push({ ...before, output: content })
    }
  }
  return steps
}

/** What differs between two runs: times, numbers, identifiers, the name of the machine, and widths of columns. */
const general = (output: string): string =>
  output
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'STORE')
    .replace(/@\d+\.[0-9a-f]{16}/g, '@REVISION')
    .replace(/240\.0\.\d+\.\d+/g, 'ADDRESS')
    .replace(/@\d+$/gm, '@N')
    .replace(/\b\d+(\.\d+)? ?m?s\b/g, 'TIME')
    .replace(/^(east|west)( +)(current|behind) .*$/gm, '$1 $3')
    .replace(/^([a-z0-9-]+) +runs +\d+ +.+? +(\d+)$/gm, '$1 runs $2')
    .replace(/revision \d+$/gm, 'revision N')
    .replace(/^ *\d+ ("version")/gm, 'COUNT $1')
    .replace(/ +/g, ' ')
    .trimEnd()

const folder = temporaryFolder()
const shell = createShell(folder)
let cwd = folder.path
afterAll(async () => {
  await shell('zonemesh down --delete-data', cwd)
  folder[Symbol.dispose]()
})

test('UP20 every command of the tutorial on one machine works as printed, and its output is the one that the page shows', async () => {
  for (const step of stepsOf('docs/tutorial/two-zones.md')) {
    if (step.type === 'file') {
      folder.file(join('shop', step.name), step.content)
      continue
    }
    const ran = await shell(step.commands, cwd)
    expect(ran.code, `${step.commands}\n${ran.output}`).toBe(0)
    cwd = ran.cwd
    if (step.output !== undefined) expect(general(ran.output), step.commands).toBe(general(step.output))
  }
}, 180_000)

test('UP21 the first request between zones takes at most 12 commands and 4 files of the tutorial', () => {
  const steps = stepsOf('docs/tutorial/two-zones.md')
  const first = steps.findIndex((step) => step.type === 'run' && step.commands.includes('curl'))
  const commands = steps
    .slice(0, first + 1)
    .flatMap((step) => (step.type === 'run' ? step.commands.trim().split(/\n|&&/) : []))
  // Two more: those of the installation, and the check of its version.
  expect(commands.length + 2).toBeLessThanOrEqual(12)
  expect(steps[0]).toMatchObject({ output: expect.stringMatching(/^(wrote .*\n){1,4}Start/) })
})
