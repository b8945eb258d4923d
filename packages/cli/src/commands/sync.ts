import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { type Context, defineCommand, type ExitCode } from '../base/command.ts'
import { confirm } from '../base/confirm.ts'
import { type CommitAnswer, isChange, sendCommit } from '../files/commit.ts'
import { readFolder, readManifest } from '../files/folder.ts'
import { planSync, type SyncPlan } from '../files/sync-plan.ts'
import { noteMassRemovals, planLines, totalsText } from '../output/show-plan.ts'
import { shownName } from '../resources/resource-word.ts'
import { apply, noteRefusal, requireWait, wait } from './apply.ts'

export const sync = defineCommand({
  name: 'sync',
  summary: 'make a control plane equal to a folder that `zonemesh dump` wrote: create, change and delete resources',
  usage: 'DIR [--dry-run | --yes] [--mesh MESH] [--yes-remove-many] [--wait served@all]',
  examples: ['zonemesh sync ./mesh --dry-run', 'zonemesh sync ./mesh --yes --wait served@all'],
  arity: { min: 1, max: 1 },
  options: {
    mesh: option(text.optional(), 'only this mesh of the folder', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'all of the folder',
    }),
    dryRun: option(toggle.default(false), 'show what would change, as a patch, and change nothing'),
    yes: option(toggle.default(false), 'do not ask before writing', { short: 'y' }),
    yesRemoveMany: apply.options.yesRemoveMany,
    wait: apply.options.wait,
    timeout: apply.options.timeout,
    ...clientOptions,
  },
  async run(values, context) {
    requireWait(values.wait)
    const [folder = ''] = context.positionals
    const manifest = readManifest(folder)
    const client = createClient(values)
    const plan = await planSync(client, await readFolder(folder), manifest, values.mesh)
    const { documents, deletions } = plan
    if (documents.length + deletions.length === 0) {
      for (const line of plan.left) context.note(line)
      context.print(`no change: ${plan.unchanged} unchanged`)
      return 0
    }
    const contents = documents.map(({ source }) => source.content)
    const answer = await sendCommit(client, { documents: contents, deletions, dryRun: true })
    const isRefused = showPlan(context, plan, answer)
    if (isRefused) context.note('nothing was written, because some resources are refused')
    if (isRefused || values.dryRun || !answer.outcomes.some(isChange)) return isRefused ? 1 : 0
    if (!values.yesRemoveMany && (answer.massRemovals ?? []).length > 0) return 1
    const isConfirmed =
      values.yes || (await confirm('Write these changes?', 'confirm the changes with --yes', context.signal))
    if (!isConfirmed) {
      context.print('nothing was written')
      return 0
    }
    // The commit is refused if somebody has changed one of the others meanwhile.
    const written = await sendCommit(client, {
      documents: contents,
      deletions,
      atomic: true,
      since: answer.revision,
      intent: `sync ${folder}`.slice(0, intentMax),
      ...(values.yesRemoveMany ? { declared: true } : {}),
    })
    return finish(context, written, async () =>
      values.wait ? wait(client, context, written.revision, values.wait, values.timeout) : true,
    )
  },
})

/** The longest intent that a plane takes. */
const intentMax = 200

/** Prints the patch of each resource and the totals. Returns whether the plane refuses something. */
function showPlan(context: Context, { documents, unchanged, left }: SyncPlan, answer: CommitAnswer): boolean {
  const { outcomes } = answer
  for (const outcome of outcomes) {
    const source = documents[outcome.index]?.source
    const to = source ? `${source.file}:${source.line}` : 'no file'
    for (const line of planLines(outcome, 'now', to)) context.print(line)
    if (outcome.outcome !== 'refused') continue
    if (source) noteRefusal(context, source, outcome)
    else context.note(`${shownName(outcome)}: cannot be deleted: ${outcome.detail ?? 'refused'}`)
  }
  for (const line of left) context.note(line)
  noteMassRemovals(context, answer)
  const totals = totalsText([
    ...outcomes,
    ...Array.from({ length: unchanged }, () => ({ outcome: 'unchanged' }) as const),
  ])
  context.print(outcomes.some(isChange) ? totals : `no change: ${totals}`)
  return outcomes.some(({ outcome }) => outcome === 'refused')
}

/** Reports what was written. */
async function finish(
  context: Context,
  { outcomes, revision, isRefused }: CommitAnswer,
  reached: () => Promise<boolean>,
): Promise<ExitCode> {
  for (const one of outcomes) {
    if (one.outcome === 'refused') context.note(`${shownName(one)}: refused: ${one.detail ?? 'not valid'}`)
    else if (!isRefused) context.print(`${shownName(one)}: ${one.outcome}`)
  }
  if (isRefused) {
    context.note('nothing was written')
    return 1
  }
  context.print(`revision ${revision}`)
  return (await reached()) ? 0 : 1
}
