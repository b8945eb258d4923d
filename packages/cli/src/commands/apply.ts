import type { Outcome, Receipt } from '@zonemesh/plane/api/answers.ts'
import { duration, option, text, texts, toggle } from '@zonemesh/plane/config/options.ts'
import { globalOrigin, keyText } from '@zonemesh/shared/resource/resource.ts'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { CommandError, type Context, defineCommand } from '../base/command.ts'
import { unreachable } from '../explain/after-apply.ts'
import { planPrune, requireSetName, takenOver, withSet } from '../files/apply-set.ts'
import { type CommitRequest, sendCommit } from '../files/commit.ts'
import { readDocuments, readVariables, type SourceDocument } from '../files/documents.ts'
import { noteMassRemovals, planLines, totalsText } from '../output/show-plan.ts'

const place = (document: SourceDocument): string =>
  `${document.file}, document ${document.number} (line ${document.line})`

/** Reports what happened to a document, or to a resource that is pruned, which has none. */
function printOutcome(context: Context, document: SourceDocument | undefined, outcome: Outcome, dryRun: boolean): void {
  const patch = dryRun ? planLines(outcome, 'now', document ? `${document.file}:${document.line}` : 'pruned') : []
  for (const line of patch) context.print(line)
  if (outcome.outcome !== 'refused') {
    if (patch.length === 0) context.print(`${whatText(outcome)}: ${outcome.outcome}`)
    for (const warning of outcome.warnings ?? []) context.note(`  warning: ${warning}`)
  } else if (document) noteRefusal(context, document, outcome)
  else context.note(`${whatText(outcome)}: cannot be deleted: ${outcome.detail ?? 'refused'}`)
}

/**
 * The documents of a set with its label, the resources that a prune deletes, and the revision at which all of this was
 * found: the commit is refused if one of these resources has changed since. Throws if a resource belongs to another set.
 */
async function partsOfSet(
  client: Client,
  context: Context,
  good: readonly SourceDocument[],
  set: string,
  prune: boolean,
): Promise<Pick<CommitRequest, 'documents' | 'deletions' | 'since'>> {
  const documents = good.map((document) => withSet(document, set))
  const { outcomes, revision } = await sendCommit(client, { documents, dryRun: true })
  const foreign = takenOver(outcomes, set)
  if (foreign.length > 0) throw new CommandError(`nothing was written: ${foreign.join('\n')}`)
  if (!prune || outcomes.some(({ outcome }) => outcome === 'refused')) return { documents, since: revision }
  const { deletions, left } = await planPrune(client, good, set)
  for (const line of left) context.note(line)
  return { documents, deletions, since: revision }
}

/** `Timeout default/slow`, or `document` if it has no type. */
const whatText = ({ type, mesh, name }: Outcome): string =>
  `${type || 'document'}${name ? ` ${mesh ? `${mesh}/` : ''}${name}` : ''}`

/** Reports why a document is refused, on stderr, with its place. */
export function noteRefusal(context: Context, document: SourceDocument, outcome: Outcome): void {
  context.note(`${whatText(outcome)}: refused — ${place(document)}: ${outcome.detail ?? 'not valid'}`)
  for (const { field, reason, choices } of outcome.violations ?? []) {
    const among = choices?.length ? choices.join(', ') : ''
    // The detail of an unknown kind is the reason of its only violation.
    if (reason !== outcome.detail) context.note(`  ${field}: ${reason}${among ? ` (one of: ${among})` : ''}`)
    else if (among) context.note(`  ${field}: expected one of ${among}`)
  }
}

/** The documents of files that could be read. Reports the others on stderr. Throws if there is no document at all. */
export async function readGood(
  context: Context,
  { file, var: pairs }: { readonly file: readonly string[]; readonly var: readonly string[] },
): Promise<{ readonly good: readonly SourceDocument[]; readonly isAnyUnreadable: boolean }> {
  const documents = await readDocuments(file, readVariables(pairs))
  if (documents.length === 0) throw new CommandError(`no documents in ${file.join(', ')}`)
  const unreadable = documents.filter(({ error }) => error !== undefined)
  for (const document of unreadable) context.note(`refused — ${place(document)}: ${document.error}`)
  return { good: documents.filter(({ error }) => error === undefined), isAnyUnreadable: unreadable.length > 0 }
}

/** The key text of a document that the global has now. */
const writtenKey = ({ type, mesh = '', name, outcome }: Outcome): readonly string[] =>
  ['created', 'updated', 'unchanged'].includes(outcome)
    ? [keyText({ origin: globalOrigin, kind: type, mesh, name })]
    : []

/** Throws if `--wait` does not name a level and zones. */
export function requireWait(target: string | undefined): void {
  if (target && !/^(stored|served|applied)@./.test(target))
    throw new CommandError(`--wait: expected stored@all, served@all, served@every or served@ZONE, found "${target}"`, 2)
}

export async function wait(
  client: Client,
  context: Context,
  revision: string,
  target: string,
  timeoutMs: number,
): Promise<boolean> {
  const query = new URLSearchParams({ wait: target, timeout: `${timeoutMs}ms` })
  const reply = await client.need('GET', `/_receipts/${encodeURIComponent(revision)}?${query}`)
  requireFields(client, reply, ['zones', 'level'])
  // The plane answers with its own type.
  const receipt = reply.json as Receipt
  for (const { zone, state, delayMs, reason } of receipt.zones) {
    const delay = delayMs === undefined ? '' : ` after ${delayMs < 10 ? delayMs.toFixed(1) : Math.round(delayMs)} ms`
    context.print(
      `${zone}: ${state === 'reached' ? receipt.level : state.replace('-', ' ')}${delay}${reason ? ` — ${reason}` : ''}`,
    )
  }
  if (receipt.zones.length === 0) context.print('no zone to wait for')
  return receipt.complete
}

export const apply = defineCommand({
  name: 'apply',
  summary: 'create or change resources from YAML; all good documents of one call become one commit',
  usage: '-f FILE|DIR|URL|- [--dry-run] [--wait served@all] [--atomic] [--apply-set NAME [--prune]]',
  examples: [
    'zonemesh apply -f route.yaml',
    'zonemesh apply -f demo/policies --var host=example.com --wait served@all --timeout 5s',
    'zonemesh apply -f demo/policies --var host=example.com --dry-run',
    'zonemesh apply -f policies --apply-set shop --prune',
    'cat mesh.yaml | zonemesh apply -f -',
  ],
  arity: { min: 0, max: 0 },
  options: {
    file: option(texts, 'a YAML file, a folder of them, a URL, or - for standard input', {
      placeholder: 'FILE|DIR|URL|-',
      repeated: true,
      short: 'f',
    }),
    var: option(
      texts.default([]),
      'a value for {{NAME}} in the documents; {{ .Name }} and other templates stay unchanged',
      {
        placeholder: 'NAME=VALUE',
        repeated: true,
      },
    ),
    dryRun: option(toggle.default(false), 'show what would change, as a patch, and change nothing'),
    atomic: option(toggle.default(false), 'send nothing if one document is bad'),
    applySet: option(
      text.optional(),
      'the set to which these resources belong, as the label zonemesh.io/apply-set; a resource of another set is refused',
      { placeholder: 'NAME' },
    ),
    prune: option(
      toggle.default(false),
      'delete the resources of the set that the files no longer have, in the same commit, but no Mesh and no Zone; nothing is written if one document is bad',
    ),
    yesRemoveMany: option(
      toggle.default(false),
      'confirm a large removal: without this, removing more than 30 % of a kind and more than 10 resources is refused',
    ),
    wait: option(
      text.optional(),
      'wait until zones have it: stored@all, served@all (those that are online), served@every (offline ones too), or served@ZONE[,ZONE]',
      {
        placeholder: 'LEVEL@ZONES',
      },
    ),
    timeout: option(duration.prefault('5s'), 'how long to wait', { placeholder: 'DURATION', shownDefault: '5s' }),
    intent: option(text.default('apply'), 'why: kept with the commit', { placeholder: 'TEXT', shownDefault: 'apply' }),
    ...clientOptions,
  },
  async run(values, context) {
    requireWait(values.wait)
    const { applySet, prune, intent, dryRun } = values
    requireSetName(applySet, prune)
    const client = createClient(values)
    const { good, isAnyUnreadable } = await readGood(context, values)
    // A document that is absent because it is bad must not be pruned.
    const atomic = values.atomic || prune
    if (atomic && isAnyUnreadable) {
      context.note(`nothing was sent (${prune ? '--prune' : '--atomic'})`)
      return 1
    }
    if (good.length === 0) return 1
    const parts =
      applySet === undefined
        ? { documents: good.map(({ content }) => content) }
        : await partsOfSet(client, context, good, applySet, prune)
    const declared = values.yesRemoveMany ? { declared: true } : {}
    const answer = await sendCommit(client, { ...parts, atomic, intent, dryRun, ...declared })
    const { outcomes, revision } = answer
    for (const outcome of outcomes) printOutcome(context, good[outcome.index], outcome, dryRun)
    const bad = isAnyUnreadable || outcomes.some(({ outcome }) => outcome === 'refused')
    if (dryRun) {
      noteMassRemovals(context, answer)
      context.print(`${totalsText(outcomes)}; nothing was written (--dry-run)`)
      return bad ? 1 : 0
    }
    const isSent = !(atomic && bad) && outcomes.some(({ outcome }) => outcome !== 'refused')
    if (isSent) context.print(`revision ${revision}`)
    else context.note(`nothing was written${atomic ? ` (${prune ? '--prune' : '--atomic'})` : ''}`)
    const reached = values.wait && isSent ? await wait(client, context, revision, values.wait, values.timeout) : true
    if (values.wait?.startsWith('served@') && isSent && reached)
      for (const line of await unreachable(client, outcomes.flatMap(writtenKey))) context.print(line)
    return bad || !reached ? 1 : 0
  },
})
