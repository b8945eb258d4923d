import { count, option, text, toggle } from '@zonemesh/plane/config/options.ts'
import type { CommitEntry, CommitPage, CommitResource } from '@zonemesh/plane/history/commits.ts'
import type { FieldChange } from '@zonemesh/plane/history/fields.ts'
import type { VersionEntry, ZoneRun } from '@zonemesh/plane/history/versions.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { type Context, defineCommand } from '../base/command.ts'
import { fieldsText } from '../output/show-difference.ts'
import { age, table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'
import { resourceFrom, selectionOf, shownName } from '../resources/resource-word.ts'

/** The responses of the plane about a resource and about commits. */
interface ResourceHistory {
  readonly items: readonly VersionEntry[]
  readonly horizon: string
}
type CommitHistory = Omit<CommitPage, 'next'> & { readonly next: number | null; readonly horizon: string }

const seconds = (iso: string): string => iso.replace(/\.\d+Z$/, 'Z')

/** `east served +120ms, west skipped`: times since the commit, by the clock of the global. */
function zonesText(zones: readonly ZoneRun[] | undefined, when: string): string {
  return (zones ?? [])
    .map(({ zone, state, storedAt, servedAt }) => {
      const at = state === 'served' ? servedAt : storedAt
      return `${zone} ${state}${at === undefined ? '' : ` +${sinceText(when, at)}`}`
    })
    .join(', ')
}

function sinceText(from: string, to: string): string {
  const ms = Math.max(0, Date.parse(to) - Date.parse(from))
  return ms < 10_000 ? `${ms}ms` : age(from, Date.parse(to))
}

const valueText = (value: unknown): string => {
  const shown = value === undefined ? '(none)' : JSON.stringify(value)
  return shown.length > 60 ? `${shown.slice(0, 59)}…` : shown
}

function whatText({ what, changes }: VersionEntry): string {
  const [first, ...more] = changes ?? []
  if (!first) return what
  return more.length === 0 ? `${what} ${changeText(first)}` : `${what} ${fieldsText([first, ...more])}`
}

const changeText = ({ field, before, after }: FieldChange): string =>
  `${field} ${valueText(before)} → ${valueText(after)}`

function showVersions(context: Context, { items, horizon }: ResourceHistory, wide: boolean): void {
  const cells = items.map((entry) => [
    entry.short,
    seconds(entry.when),
    entry.who ?? '(not kept)',
    entry.why ?? '',
    whatText(entry),
    zonesText(entry.zones, entry.when),
  ])
  const [header = '', ...lines] = table(['REVISION', 'WHEN', 'WHO', 'WHY', 'WHAT', 'ZONES'], cells)
  context.print(header.trimEnd())
  items.forEach((entry, index) => {
    context.print((lines[index] ?? '').trimEnd())
    if (!wide) return
    for (const change of entry.changes ?? []) context.print(`    ${changeText(change)}`)
    for (const { zone, servedAt, servedUntil } of entry.zones ?? [])
      if (servedAt !== undefined) context.print(`    ${zone} served it from ${servedAt} to ${servedUntil ?? 'now'}`)
  })
  if (horizon !== '@0') context.note(`history is kept from ${horizon} on (--history-revisions of the control plane)`)
}

function resourcesText(resources: readonly CommitResource[]): string {
  const shown = resources.slice(0, 2).map((one) => `${shownName(one)} ${one.what}`)
  return `${shown.join(', ')}${resources.length > shown.length ? ` +${resources.length - shown.length}` : ''}`
}

function showCommits(context: Context, items: readonly CommitEntry[], wide: boolean): void {
  const cells = items.map((entry) => [
    entry.short,
    seconds(entry.when),
    entry.who,
    entry.why,
    String(entry.rows),
    resourcesText(entry.resources),
  ])
  const [header = '', ...lines] = table(['REVISION', 'WHEN', 'WHO', 'WHY', 'ROWS', 'RESOURCES'], cells)
  context.print(header.trimEnd())
  items.forEach((entry, index) => {
    context.print((lines[index] ?? '').trimEnd())
    if (!wide) return
    for (const one of entry.resources) context.print(`    ${shownName(one)} ${one.what}`)
    const zones = zonesText(entry.zones, entry.when)
    if (zones !== '') context.print(`    ${zones}`)
  })
}

/**
 * Reads pages until there are enough commits. A page may be short, because commits of the planes themselves are
 * filtered out.
 */
async function commits(client: Client, query: URLSearchParams, limit: number): Promise<CommitHistory> {
  const items: CommitEntry[] = []
  for (;;) {
    query.set('limit', String(limit - items.length))
    const reply = await client.need('GET', `/_history?${query}`)
    requireFields(client, reply, ['items', 'horizon'])
    // The plane answers with its own type.
    const page = reply.json as CommitHistory
    items.push(...page.items)
    if (page.next === null || items.length >= limit) return { ...page, items }
    query.set('before', String(page.next))
  }
}

async function versions(client: Client, query: URLSearchParams): Promise<unknown> {
  const reply = await client.need('GET', `/_history?${query}`)
  requireFields(client, reply, ['items', 'horizon'])
  return reply.json
}

export const history = defineCommand({
  name: 'history',
  summary: 'show who changed what, when and why, and which zones ran it; without a resource, the newest commits',
  usage: '[KIND[/NAME]] [--mesh MESH] [-o table|wide|yaml|json]',
  examples: [
    'zonemesh history meshgatewayroute/edge-route',
    'zonemesh history meshgatewayroute/edge-route -o wide',
    'zonemesh history --limit 10',
    'zonemesh history timeouts --mesh default',
  ],
  arity: { min: 0, max: 2 },
  options: {
    output: option(
      z.enum(['table', 'wide', 'yaml', 'json']).default('table'),
      'how to show it: table, wide, yaml, json',
      {
        placeholder: 'FORMAT',
        short: 'o',
        shownDefault: 'table',
      },
    ),
    mesh: option(text.optional(), 'only this mesh; the mesh of the named resource', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'all; default for a named one',
    }),
    limit: option(count(1, 1000).default(20), 'how many commits to show', { placeholder: 'N', shownDefault: '20' }),
    before: option(text.optional(), 'show commits older than this one', { placeholder: '@REVISION' }),
    all: option(toggle.default(false), 'also commits of the planes themselves, and what other zones report'),
    ...clientOptions,
  },
  async run(values, context) {
    const resource = resourceFrom(context.positionals)
    const query = new URLSearchParams({
      ...selectionOf(resource, values.mesh),
      ...(values.all ? { all: 'true' } : {}),
      ...(values.before === undefined ? {} : { before: values.before }),
    })
    const client = createClient(values)
    const isNamed = resource.name !== undefined
    const answer: unknown = isNamed ? await versions(client, query) : await commits(client, query, values.limit)
    const wide = values.output === 'wide'
    if (values.output === 'json') context.print(jsonText(answer))
    else if (values.output === 'yaml') context.print(stringify(answer, { lineWidth: 0 }).trimEnd())
    // The plane answers with its own types: one for a resource, one for commits.
    else if (isNamed) showVersions(context, answer as ResourceHistory, wide)
    else showCommits(context, (answer as CommitHistory).items, wide)
    return 0
  },
})
