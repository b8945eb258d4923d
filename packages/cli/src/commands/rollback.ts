import type { RollbackOutcome } from '@zonemesh/plane/api/rollback.ts'
import { count, option, text, toggle } from '@zonemesh/plane/config/options.ts'
import { clientOptions, createClient, errorLines, requireFields } from '../base/client.ts'
import { CommandError, type Context, defineCommand } from '../base/command.ts'
import { differenceLines } from '../output/show-difference.ts'
import { resourceFrom, selectionOf, shownName } from '../resources/resource-word.ts'
import { apply, wait } from './apply.ts'

interface Answer {
  readonly to: string
  /** The number of resources to delete, if the user must confirm it. */
  readonly confirmRemovals?: number
  readonly revision: string
  readonly outcomes: readonly RollbackOutcome[]
  readonly left: readonly {
    readonly type: string
    readonly mesh?: string
    readonly name: string
    readonly reason: string
  }[]
}

function printOutcomes(context: Context, { to, outcomes, left }: Answer, dryRun: boolean): void {
  for (const one of outcomes) {
    if (dryRun) for (const line of differenceLines(one, 'now', to)) context.print(line)
    if (one.outcome === 'refused') {
      context.note(`${shownName(one)}: refused: ${one.detail ?? 'not valid'}`)
      for (const { field, reason, choices } of one.violations ?? [])
        context.note(`  ${field}: ${reason}${choices?.length ? ` (one of: ${choices.join(', ')})` : ''}`)
    } else if (!dryRun) context.print(`${shownName(one)}: ${one.outcome}`)
    for (const warning of one.warnings ?? []) context.note(`  warning: ${warning}`)
  }
  for (const one of left) context.note(`${shownName(one)}: left as it is: ${one.reason}`)
}

export const rollback = defineCommand({
  name: 'rollback',
  summary: 'restore resources to a revision, in one commit; a rollback can be rolled back',
  usage: '@A [KIND[/NAME]] [--mesh MESH] [--dry-run] [--confirm-removals N] [--wait served@all]',
  examples: [
    'zonemesh rollback @12 --dry-run',
    'zonemesh rollback @-1 meshgatewayroute/edge-route --wait served@all',
    'zonemesh rollback @12 timeouts --mesh default',
  ],
  arity: { min: 1, max: 3 },
  options: {
    mesh: option(text.optional(), 'only this mesh; the mesh of the named resource', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'all; default for a named one',
    }),
    dryRun: option(toggle.default(false), 'show what would change, and change nothing'),
    confirmRemovals: option(
      count(0).optional(),
      'confirm a large removal by its number of resources, if it is more than 30 % of a kind and more than 10; --dry-run shows the number',
      { placeholder: 'N' },
    ),
    wait: apply.options.wait,
    timeout: apply.options.timeout,
    ...clientOptions,
  },
  async run(values, context) {
    if (values.wait && !/^(stored|served|applied)@./.test(values.wait))
      throw new CommandError(`--wait: expected stored@all, served@all or served@ZONE, found "${values.wait}"`, 2)
    const [to = '', ...rest] = context.positionals
    const client = createClient(values)
    const { dryRun, confirmRemovals } = values
    const body = { to, ...selectionOf(resourceFrom(rest), values.mesh), dryRun, confirmRemovals }
    const reply = await client.call('POST', '/_rollback', body)
    if (reply.status < 400) requireFields(client, reply, ['to', 'outcomes', 'left'])
    const { json } = reply
    if (json === null || typeof json !== 'object' || !('outcomes' in json)) throw new CommandError(errorLines(reply))
    // The plane answers with its own type.
    const answer = json as Answer
    printOutcomes(context, answer, dryRun)
    if (reply.status >= 400) {
      context.note('nothing was written')
      return 1
    }
    if (answer.outcomes.length === 0) context.print(`nothing differs from ${answer.to}`)
    if (dryRun && answer.confirmRemovals !== undefined)
      context.note(
        `it removes ${answer.confirmRemovals} resources: confirm that with --confirm-removals ${answer.confirmRemovals}`,
      )
    if (dryRun) return 0
    context.print(`revision ${answer.revision}`)
    const reached = values.wait ? await wait(client, context, answer.revision, values.wait, values.timeout) : true
    return reached ? 0 : 1
  },
})
