import type { Outcome } from '@zonemesh/plane/api/answers.ts'
import { parsePosition } from '@zonemesh/shared/store/store.ts'
import { stringify } from 'yaml'
import { clientOptions, createClient, type Reply } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { sendCommit } from '../files/commit.ts'
import { readDocuments, type SourceDocument } from '../files/documents.ts'
import { createDraft, editorOf, openEditor } from '../files/editor.ts'
import { documentIn } from '../files/folder.ts'
import { findItem } from '../resources/find-item.ts'
import { writableKinds } from '../resources/kinds-of-plane.ts'
import { meshOption, resourceFrom } from '../resources/resource-word.ts'
import { apply, noteRefusal, requireWait, wait } from './apply.ts'

export const edit = defineCommand({
  name: 'edit',
  summary: 'change a resource in your editor ($VISUAL, $EDITOR or vi)',
  usage: 'KIND NAME [--mesh MESH] [--wait served@all]',
  examples: ['zonemesh edit timeout slow', 'EDITOR="code --wait" zonemesh edit meshgatewayroute/edge-route'],
  arity: { min: 1, max: 2 },
  options: {
    mesh: meshOption,
    wait: apply.options.wait,
    timeout: apply.options.timeout,
    ...clientOptions,
  },
  async run(values, context) {
    requireWait(values.wait)
    const { kind, name } = resourceFrom(context.positionals)
    if (!kind || name === undefined) throw new CommandError('expected KIND NAME', 2)
    const client = createClient(values)
    const reply = await findItem(client, kind, values.mesh, name)
    if (!(await writableKinds(client)).has(kind.name))
      throw new CommandError(`${kind.name} resources are not written on ${client.address}; see zonemesh api-resources`)
    const since = revisionIn(reply, client.address)
    const before = documentIn(Object(reply.json))
    const original = `${heading}${stringify(before, { lineWidth: 0 })}`
    using draft = createDraft(`${kind.name.toLowerCase()}-${fileName(name)}.yaml`, original)
    const fault = await openEditor(editorOf(process.env), draft.path)
    if (fault !== undefined && draft.read() !== original) draft.keep()
    if (fault !== undefined)
      throw new CommandError(
        `nothing was written: ${fault}${draft.isKept() ? `; your text is kept in ${draft.path}` : ''}`,
      )
    if (draft.read() === original) {
      context.print('nothing was changed')
      return 0
    }
    const keep = (reason: string): CommandError => {
      draft.keep()
      return new CommandError(
        `nothing was written: ${reason}\nyour text is kept in ${draft.path}; correct it and write it with: zonemesh apply -f ${draft.path}`,
      )
    }
    const documents = await readDocuments([draft.path], {})
    const [document] = documents
    const refusal = faultOf(documents, before)
    if (!document || refusal !== undefined) throw keep(refusal ?? 'the text has no document')
    const answer = await sendCommit(client, {
      documents: [document.content],
      atomic: true,
      since,
      intent: `edit ${kind.name} ${name}`.slice(0, 200),
    }).catch((thrown: unknown) => {
      throw thrown instanceof CommandError ? keep(thrown.message) : thrown
    })
    const refused = answer.outcomes.find(({ outcome }) => outcome === 'refused')
    if (refused) {
      noteRefusal(context, document, refused)
      throw keep('the control plane refuses it')
    }
    for (const outcome of answer.outcomes) showOutcome(context, outcome)
    context.print(`revision ${answer.revision}`)
    const reached = values.wait ? await wait(client, context, answer.revision, values.wait, values.timeout) : true
    return reached ? 0 : 1
  },
})

const heading = `# Change this resource, save it and close the editor. If the text stays as it is, nothing is written.
`

function showOutcome(context: { print(line: string): void; note(line: string): void }, outcome: Outcome): void {
  const { type, mesh, name, warnings = [] } = outcome
  context.print(`${type} ${mesh === undefined ? '' : `${mesh}/`}${name}: ${outcome.outcome}`)
  for (const warning of warnings) context.note(`  warning: ${warning}`)
}

/** The revision of the version that is edited. A later one refuses the write. */
function revisionIn({ headers }: Reply, address: string): string {
  const revision = String(headers['etag'] ?? '').replace(/^"|"$/g, '')
  if (parsePosition(revision)) return revision
  throw new CommandError(`${address} does not look like a control plane: its answer has no revision; check --address`)
}

const fileName = (name: string): string => name.replace(/[^\w.-]/g, '_')

/** Why the edited text is not the resource any more; undefined if it is. */
function faultOf(documents: readonly SourceDocument[], before: object): string | undefined {
  if (documents.length > 1) return `expected one document, found ${documents.length}`
  const [document] = documents
  if (!document) return 'expected the resource, found no document'
  if (document.error !== undefined) return `line ${document.line}: ${document.error}`
  const after: unknown = document.content
  const of = (from: unknown, key: string): unknown =>
    from !== null && typeof from === 'object' ? Reflect.get(from, key) : undefined
  const changed = ['type', 'mesh', 'name'].find((key) => of(before, key) !== of(after, key))
  return changed === undefined
    ? undefined
    : `expected the same ${changed}, "${String(of(before, changed))}", found "${String(of(after, changed) ?? 'none')}"`
}
