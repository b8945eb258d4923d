import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import type { Difference } from '@zonemesh/plane/history/differences.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { CommandError, type Context, defineCommand, type ExitCode } from '../base/command.ts'
import { requireSetName, withSet } from '../files/apply-set.ts'
import { isChange, sendCommit } from '../files/commit.ts'
import { differenceLines, fieldsText } from '../output/show-difference.ts'
import { differenceOf, planLines } from '../output/show-plan.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'
import { resourceFrom, selectionOf, shownName } from '../resources/resource-word.ts'
import { apply, noteRefusal, readGood } from './apply.ts'

interface Answer {
  readonly from: string
  readonly to: string
  readonly items: readonly Difference[]
}

/** Parses `@a..@b`. `@a` and `@a..` end at the newest revision. */
function rangeFrom(word: string): { readonly from: string; readonly to: string } {
  const [from = '', to = '', ...more] = word.split('..')
  if (from === '' || more.length > 0)
    throw new CommandError(`expected @a..@b such as @12..@15 or @-1..@head, found "${word}"`, 2)
  return { from, to: to === '' ? '@head' : to }
}

export const diff = defineCommand({
  name: 'diff',
  summary: 'show what differs between two revisions, or between files and the control plane',
  usage: '(@A[..@B] [KIND[/NAME]] [--mesh MESH] | -f FILE|DIR|URL|-) [-o diff|table|yaml|json] [--exit-code]',
  examples: [
    'zonemesh diff -f demo/policies --exit-code',
    'zonemesh diff @12..@15',
    'zonemesh diff @-1..@head',
    'zonemesh diff @-1 meshgatewayroute/edge-route',
    'zonemesh diff @12 --exit-code -o table',
  ],
  arity: { min: 0, max: 3 },
  options: {
    output: option(
      z.enum(['diff', 'table', 'yaml', 'json']).default('diff'),
      'how to show it: diff, table, yaml, json',
      {
        placeholder: 'FORMAT',
        short: 'o',
        shownDefault: 'diff',
      },
    ),
    mesh: option(text.optional(), 'only this mesh; the mesh of the named resource', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'all; default for a named one',
    }),
    all: option(toggle.default(false), 'also what other zones report, such as their proxies'),
    file: option(
      apply.options.file.schema.default([]),
      'show what `apply` of a file, a folder, a URL or standard input would change',
      { placeholder: 'FILE|DIR|URL|-', repeated: true, short: 'f' },
    ),
    var: apply.options.var,
    applySet: apply.options.applySet,
    exitCode: option(toggle.default(false), 'exit with 1 if there are differences'),
    ...clientOptions,
  },
  async run(values, context) {
    const { positionals } = context
    if (positionals.length > 0 === values.file.length > 0)
      throw new CommandError('expected revisions such as @12..@15, or -f FILE', 2)
    const client = createClient(values)
    if (values.file.length > 0) return diffFiles(client, context, values)
    const [word = '', ...rest] = positionals
    const query = new URLSearchParams({
      ...rangeFrom(word),
      ...selectionOf(resourceFrom(rest), values.mesh),
      ...(values.all ? { all: 'true' } : {}),
    })
    const reply = await client.need('GET', `/_diff?${query}`)
    requireFields(client, reply, ['from', 'to', 'items'])
    // The plane answers with its own type.
    const { from, to, items } = reply.json as Answer
    if (isListForm(values.output)) showList(context, values.output, reply.json, items)
    else for (const one of items) for (const line of differenceLines(one, from, to)) context.print(line)
    return values.exitCode && items.length > 0 ? 1 : 0
  },
})

type ListForm = 'table' | 'yaml' | 'json'
const isListForm = (form: string): form is ListForm => form !== 'diff'

function showList({ print }: Context, form: ListForm, answer: unknown, items: readonly Difference[]): void {
  if (form === 'json') print(jsonText(answer))
  else if (form === 'yaml') print(stringify(answer, { lineWidth: 0 }).trimEnd())
  else {
    const cells = items.map((one) => [shownName(one), one.change, fieldsText(one.fields)])
    for (const line of table(['RESOURCE', 'CHANGE', 'FIELDS'], cells)) print(line.trimEnd())
  }
}

/** Shows what `apply` of files would change. A document that the plane refuses is reported, and the exit code is 1. */
async function diffFiles(
  client: Client,
  context: Context,
  values: {
    readonly file: readonly string[]
    readonly var: readonly string[]
    readonly applySet: string | undefined
    readonly output: ListForm | 'diff'
    readonly exitCode: boolean
  },
): Promise<ExitCode> {
  const { applySet } = values
  requireSetName(applySet, false)
  const { good, isAnyUnreadable } = await readGood(context, values)
  const documents = good.map((one) => (applySet === undefined ? one.content : withSet(one, applySet)))
  const { outcomes, revision } = await sendCommit(client, { documents, dryRun: true })
  const items = outcomes.filter(isChange).map((one) => differenceOf(one))
  for (const outcome of outcomes) {
    const document = good[outcome.index]
    if (!document) continue
    if (outcome.outcome === 'refused') noteRefusal(context, document, outcome)
    else if (!isListForm(values.output))
      for (const line of planLines(outcome, 'now', `${document.file}:${document.line}`)) context.print(line)
  }
  if (isListForm(values.output)) showList(context, values.output, { from: revision, items }, items)
  const isBad = isAnyUnreadable || outcomes.some(({ outcome }) => outcome === 'refused')
  return isBad || (values.exitCode && items.length > 0) ? 1 : 0
}
