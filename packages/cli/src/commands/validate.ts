import { admit } from '@zonemesh/core/admit/admit.ts'
import { option, texts } from '@zonemesh/plane/config/options.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { readDocuments, readVariables, type SourceDocument } from '../files/documents.ts'
import { kindByWord } from '../resources/kinds.ts'
import { shownName } from '../resources/resource-word.ts'
import { apply } from './apply.ts'

/** Something to report about a document, at a line of its file. */
interface Finding {
  readonly level: 'error' | 'warning'
  readonly file: string
  readonly line: number
  readonly text: string
}

/** What admission says about one document, and what it describes if it is valid. */
interface Judged {
  readonly findings: readonly Finding[]
  readonly resource?: { readonly type: string; readonly mesh: string; readonly name: string }
}

export const validate = defineCommand({
  name: 'validate',
  summary: 'check YAML without a control plane, by the rules of admission, and show the line of each violation',
  usage: '-f FILE|DIR|URL|- [--kind KIND]',
  examples: ['zonemesh validate -f demo/policies --var host=example.com', 'zonemesh validate -f route.yaml'],
  arity: { min: 0, max: 0 },
  options: {
    file: apply.options.file,
    var: apply.options.var,
    kind: option(texts.default([]), 'check only documents of this kind', { placeholder: 'KIND', repeated: true }),
  },
  async run(values, { print }) {
    const kinds = new Set(values.kind.map((word) => kindByWord(word).name))
    const all = await readDocuments(values.file, readVariables(values.var))
    const documents = all.filter((one) => kinds.size === 0 || kinds.has(typeOf(one)))
    if (documents.length === 0)
      throw new CommandError(
        `no documents${kinds.size > 0 ? ` of ${[...kinds].join(', ')}` : ''} in ${values.file.join(', ')}`,
      )
    const judged = documents.map(judge)
    const findings = [...judged.flatMap((one) => one.findings), ...acrossDocuments(documents, judged)]
    for (const { level, file, line, text } of findings)
      print(`${file}:${line}: ${level === 'warning' ? 'warning: ' : ''}${text}`)
    const errors = findings.filter(({ level }) => level === 'error')
    const warnings = findings.length - errors.length
    print(
      `${counted(documents.length, 'document')}: ${errors.length === 0 ? 'valid' : counted(errors.length, 'violation')}` +
        (warnings > 0 ? `, ${counted(warnings, 'warning')}` : ''),
    )
    return errors.length > 0 ? 1 : 0
  },
})

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

const member = (content: unknown, key: string): unknown =>
  content !== null && typeof content === 'object' ? Reflect.get(content, key) : undefined

/** The kind of a document, also in the Kubernetes form. */
const typeOf = ({ content }: SourceDocument): string => String(member(content, 'type') ?? member(content, 'kind') ?? '')

function judge(document: SourceDocument): Judged {
  const { file, line, content, error, lineOf } = document
  if (error !== undefined) return { findings: [{ level: 'error', file, line, text: `not valid YAML: ${error}` }] }
  const read = admit(content)
  if (!read.ok) {
    const { detail, violations } = read.error
    const what = nameOf(content)
    if (violations.length === 0) return { findings: [{ level: 'error', file, line, text: `${what}${detail}` }] }
    const findings = violations.map(({ field, reason, choices }): Finding => {
      const known = choices?.length ? ` (one of: ${choices.join(', ')})` : ''
      return { level: 'error', file, line: lineOf(field), text: `${what}${field}: ${reason}${known}` }
    })
    return { findings }
  }
  const { kind, mesh, name, warnings } = read.value
  const resource = { type: kind.name, mesh, name }
  const what = shownName({ type: kind.name, name, ...(mesh === '' ? {} : { mesh }) })
  return {
    resource,
    // A warning begins with its field.
    findings: warnings.map((text) => ({
      level: 'warning',
      file,
      line: lineOf(text.split(': ')[0] ?? ''),
      text: `${what}: ${text}`,
    })),
  }
}

/** `Timeout default/slow: `, as far as the document says what it is. */
function nameOf(content: unknown): string {
  const [type, mesh, name] = ['type', 'mesh', 'name'].map((key) => member(content, key))
  if (typeof type !== 'string' || typeof name !== 'string') return ''
  return `${shownName({ type, name, ...(typeof mesh === 'string' ? { mesh } : {}) })}: `
}

/** What only several documents together show: a resource that is written twice, and meshes that the files do not have. */
function acrossDocuments(documents: readonly SourceDocument[], judged: readonly Judged[]): Finding[] {
  const firstByName = new Map<string, SourceDocument>()
  const meshes = new Set([
    '',
    'default',
    ...judged.flatMap(({ resource }) => (resource?.type === 'Mesh' ? resource.name : [])),
  ])
  return judged.flatMap(({ resource }, index): Finding[] => {
    const document = documents[index]
    if (!resource || !document) return []
    const { file, line, lineOf } = document
    const { type, mesh, name } = resource
    const what = shownName({ type, name, ...(mesh === '' ? {} : { mesh }) })
    const first = firstByName.get(what)
    firstByName.set(what, first ?? document)
    const isUnknown = !meshes.has(mesh)
    meshes.add(mesh)
    return [
      ...(first
        ? [
            {
              level: 'error' as const,
              file,
              line,
              text: `${what}: is also in ${first.file}:${first.line}; one commit takes it once`,
            },
          ]
        : []),
      ...(isUnknown
        ? [
            {
              level: 'warning' as const,
              file,
              line: lineOf('mesh'),
              text: `no document describes mesh "${mesh}": it must exist on the control plane`,
            },
          ]
        : []),
    ]
  })
}
