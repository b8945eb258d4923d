import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { parseAllDocuments } from 'yaml'
import { CommandError } from '../base/command.ts'
import { download, isUrl } from './download.ts'
import { offsetOfField } from './field-lines.ts'

/** One YAML document and its location. */
export interface SourceDocument {
  readonly file: string
  /** Counted from 1 over the non-empty documents of the file. */
  readonly number: number
  readonly line: number
  /** The line of a field, as violations name it; of its nearest part if it is absent. */
  readonly lineOf: (field: string) => number
  readonly content?: unknown
  /** Why the document cannot be parsed. */
  readonly error?: string
}

/** A name of a variable: `{{ .Name }}`, `{{- x -}}` and `{{ $x }}` are of templates of other systems. */
const variableName = /^\w(?:[\w.-]*\w)?$/
/** Words of Go's templates that could also be names. */
const templateWords = new Set(['end', 'else', 'break', 'continue'])

/** Replaces `{{name}}` by values. An unknown name is an error that lists the known names. */
export function fillVariables(text: string, variables: Readonly<Record<string, string>>, file: string): string {
  return text.replace(/\{\{\s*([\w.-]+)\s*\}\}/g, (whole, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined
    if (value === undefined) {
      if (!variableName.test(name) || templateWords.has(name)) return whole
      const known = Object.keys(variables).join(', ') || 'none are given'
      throw new CommandError(`${file}: no value for {{${name}}}; give one with --var ${name}=… (known: ${known})`, 1)
    }
    return value
  })
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

function parseFile(file: string, text: string): SourceDocument[] {
  const documents: SourceDocument[] = []
  for (const document of parseAllDocuments(text)) {
    if (!('contents' in document)) continue
    const start = document.contents?.range?.[0] ?? document.range?.[0] ?? 0
    const line = lineAt(text, start)
    const lineOf = (field: string) => lineAt(text, offsetOfField(document, field) ?? start)
    const number = documents.length + 1
    const [error] = document.errors
    if (error)
      documents.push({
        file,
        number,
        lineOf,
        line: error.linePos?.[0].line ?? line,
        // The parser repeats the place.
        error: `not valid YAML: ${(error.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '')}`,
      })
    else if (document.contents !== null) documents.push({ file, number, line, lineOf, content: document.toJS() })
  }
  return documents
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}

const isYaml = (name: string): boolean => /\.(ya?ml|json)$/.test(name)

/** All documents of a file, of the files of a folder (by name), of a URL, or of standard input (`-`). */
export async function readDocuments(
  sources: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<SourceDocument[]> {
  const documents: SourceDocument[] = []
  for (const source of sources) {
    try {
      const files =
        source === '-' || isUrl(source) || !statSync(source).isDirectory()
          ? [source]
          : readdirSync(source)
              .filter(isYaml)
              .sort()
              .map((name) => join(source, name))
      for (const file of files) {
        const text = file === '-' ? await readStdin() : isUrl(file) ? await download(file) : readFileSync(file, 'utf8')
        documents.push(...parseFile(file === '-' ? 'standard input' : file, fillVariables(text, variables, file)))
      }
    } catch (thrown) {
      if (thrown instanceof CommandError) throw thrown
      throw new CommandError(`cannot read ${source}: ${messageOf(thrown)}`)
    }
  }
  return documents
}

/** `["a=1", "b=2"]` as a record. */
export function readVariables(pairs: readonly string[], flag = '--var'): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1 || !variableName.test(pair.slice(0, at)))
        throw new CommandError(`${flag}: expected NAME=VALUE, found "${pair}"`, 2)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}
