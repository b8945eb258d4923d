import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { root } from './rig.ts'
import type { createShell } from './scene-folder.ts'

/** A step of a page: a file to write, or commands to run in a shell, with the output that the page shows. */
export type Step = { readonly machine: string } & (
  | { readonly type: 'file'; readonly name: string; readonly content: string }
  | { readonly type: 'run'; readonly commands: string; readonly output: Output | undefined }
)

/** The output of commands, and where it begins in its page. */
interface Output {
  readonly text: string
  readonly at: number
}

/**
 * The steps of a page, in order. A block of output belongs to the commands above it. Every other block is a file, whose
 * name is in the line above it. A second word after the language of a block names the machine: `sh a`.
 */
export function stepsOf(page: string): readonly Step[] {
  const steps: Step[] = []
  const text = readFileSync(join(root, page), 'utf8')
  const blocks = /(?:`([^`\n]+)`(?: on [AB])?:\n\n)?```(\w+)(?: (\w+))?\n([\s\S]*?)```/g
  for (const { 0: block, 1: name, 2: language, 3: machine = '', 4: content = '', index } of text.matchAll(blocks)) {
    if (language === 'sh') steps.push({ machine, type: 'run', commands: content, output: undefined })
    else if (language === 'text') {
      const before = steps.pop()
      if (before?.type !== 'run') throw new Error(`${page}: output without commands: ${content}`)
      steps.push({ ...before, output: { text: content, at: index + block.length - '```'.length - content.length } })
    } else {
      if (name === undefined) throw new Error(`${page}: a file without a name: ${content}`)
      steps.push({ machine, type: 'file', name, content })
    }
  }
  return steps
}

/** Where the steps of a page run. */
interface Place {
  readonly folder: { readonly path: string }
  readonly shell: ReturnType<typeof createShell>
}

/**
 * Runs every step of a page in order, each where the one before on its machine has ended, and compares each output with
 * the page. With UPDATE_PAGES=1 an output that differs is written into the page instead: read the difference. Steps of a
 * machine that has no place are left to another test.
 */
export async function runPage(page: string, placeOf: (machine: string) => Place | undefined): Promise<void> {
  const folderByMachine = new Map<string, string>()
  const differences: { readonly at: Output; readonly found: string }[] = []
  for (const step of stepsOf(page)) {
    const place = placeOf(step.machine)
    if (place === undefined) continue
    const { folder, shell } = place
    const cwd = folderByMachine.get(step.machine) ?? folder.path
    if (step.type === 'file') {
      writeFileSync(join(cwd, step.name), step.content, { mode: 0o600 })
      continue
    }
    // As in a terminal, both outputs have one order.
    const ran = await shell(`exec 2>&1\n${step.commands}`, cwd)
    expect(ran.code, `${step.commands}\n${ran.output}`).toBe(0)
    folderByMachine.set(step.machine, ran.cwd)
    if (step.output === undefined) continue
    if (process.env['UPDATE_PAGES'] !== '1') expect(general(ran.output), step.commands).toBe(general(step.output.text))
    else if (general(ran.output) !== general(step.output.text))
      differences.push({ at: step.output, found: `${ran.output.trimEnd()}\n` })
  }
  let text = readFileSync(join(root, page), 'utf8')
  for (const { at, found } of differences.reverse())
    text = text.slice(0, at.at) + found + text.slice(at.at + at.text.length)
  if (differences.length > 0) writeFileSync(join(root, page), text)
}

/** What differs between two runs: times, numbers, identifiers, the name of the machine, and widths of columns. */
export const general = (output: string): string =>
  output
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'STORE')
    .replace(/(running replicas: )\S+?\)/g, '$1REPLICA)')
    .replace(/240\.0\.\d+\.\d+/g, 'ADDRESS')
    .replace(/127\.(1[3-9]\d|12[89]|2\d\d)\.\d+\.\d+/g, 'ADDRESS')
    .replace(/@\d+\.[0-9a-f]{16}/g, '@REVISION')
    .replace(/@\d+$/gm, '@N')
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME')
    .replace(/\b\d+(\.\d+)? ?m?s\b/g, 'TIME')
    .replace(/^(east|west)( +)(current|behind|held) .*$/gm, '$1 $3')
    .replace(/(its newest revision is|this zone has seen) \d+/g, '$1 N')
    .replace(/^([a-z0-9-]+) +runs +\d+ +.+? +(\d+)$/gm, '$1 runs $2')
    .replace(/revision \d+$/gm, 'revision N')
    .replace(/^ *\d+ ("version")/gm, 'COUNT $1')
    .replace(/\r/g, '')
    .replace(/ +/g, ' ')
    .trimEnd()
