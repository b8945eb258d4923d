import { option, text, toggle } from '@zonemesh/plane/config/options.ts'
import type { Difference } from '@zonemesh/plane/history/differences.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { clientOptions, createClient, requireFields } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { resourceFrom, selectionOf, shownName } from '../base/resource-word.ts'
import { differenceLines, fieldsText } from '../output/show-difference.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'

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
  summary: 'show what differs between two revisions',
  usage: '@A[..@B] [KIND[/NAME]] [--mesh MESH] [-o diff|table|yaml|json] [--exit-code]',
  examples: [
    'zonemesh diff @12..@15',
    'zonemesh diff @-1..@head',
    'zonemesh diff @-1 meshgatewayroute/edge-route',
    'zonemesh diff @12 --exit-code -o table',
  ],
  arity: { min: 1, max: 3 },
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
    exitCode: option(toggle.default(false), 'exit with 1 if there are differences'),
    ...clientOptions,
  },
  async run(values, { positionals, print }) {
    const [word = '', ...rest] = positionals
    const query = new URLSearchParams({
      ...rangeFrom(word),
      ...selectionOf(resourceFrom(rest), values.mesh),
      ...(values.all ? { all: 'true' } : {}),
    })
    const client = createClient(values)
    const reply = await client.need('GET', `/_diff?${query}`)
    requireFields(client, reply, ['from', 'to', 'items'])
    // The plane answers with its own type.
    const { from, to, items } = reply.json as Answer
    if (values.output === 'json') print(jsonText(reply.json))
    else if (values.output === 'yaml') print(stringify(reply.json, { lineWidth: 0 }).trimEnd())
    else if (values.output === 'table') {
      const cells = items.map((one) => [shownName(one), one.change, fieldsText(one.fields)])
      for (const line of table(['RESOURCE', 'CHANGE', 'FIELDS'], cells)) print(line.trimEnd())
    } else for (const one of items) for (const line of differenceLines(one, from, to)) print(line)
    return values.exitCode && items.length > 0 ? 1 : 0
  },
})
