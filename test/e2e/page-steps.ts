import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './rig.ts'

/** A step of a page: a file to write, or commands to run in a shell, with the output that the page shows. */
export type Step = { readonly machine: string } & (
  | { readonly type: 'file'; readonly name: string; readonly content: string }
  | { readonly type: 'run'; readonly commands: string; readonly output: string | undefined }
)

/**
 * The steps of a page, in order. A block of output belongs to the commands above it. A second word after the language
 * of a block names the machine: `sh a`.
 */
export function stepsOf(page: string): readonly Step[] {
  const steps: Step[] = []
  const text = readFileSync(join(root, page), 'utf8')
  const blocks = /(?:`([^`\n]+)`(?: on [AB])?:\n\n)?```(sh|text|yaml)(?: (\w+))?\n([\s\S]*?)```/g
  for (const [, name = '', language, machine = '', content = ''] of text.matchAll(blocks)) {
    if (language === 'sh') steps.push({ machine, type: 'run', commands: content, output: undefined })
    else if (language === 'yaml') steps.push({ machine, type: 'file', name, content })
    else {
      const before = steps.pop()
      if (before?.type !== 'run') throw new Error(`${page}: output without commands: ${content}`)
      steps.push({ ...before, output: content })
    }
  }
  return steps
}

/** What differs between two runs: times, numbers, identifiers, the name of the machine, and widths of columns. */
export const general = (output: string): string =>
  output
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'STORE')
    .replace(/240\.0\.\d+\.\d+/g, 'ADDRESS')
    .replace(/@\d+\.[0-9a-f]{16}/g, '@REVISION')
    .replace(/@\d+$/gm, '@N')
    .replace(/\b\d+(\.\d+)? ?m?s\b/g, 'TIME')
    .replace(/^(east|west)( +)(current|behind) .*$/gm, '$1 $3')
    .replace(/^([a-z0-9-]+) +runs +\d+ +.+? +(\d+)$/gm, '$1 runs $2')
    .replace(/revision \d+$/gm, 'revision N')
    .replace(/^ *\d+ ("version")/gm, 'COUNT $1')
    .replace(/ +/g, ' ')
    .trimEnd()
