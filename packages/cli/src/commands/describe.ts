import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { VersionEntry } from '@zonemesh/plane/history/versions.ts'
import { type Client, clientOptions, createClient, requireFields } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { descriptionLines } from '../output/description.ts'
import { absentError, findItem } from '../resources/find-item.ts'
import { findOverview } from '../resources/items.ts'
import { pathOf } from '../resources/kinds.ts'
import { meshOption, resourceFrom, selectionOf } from '../resources/resource-word.ts'

export const describe = defineCommand({
  name: 'describe',
  summary: 'show a resource with its last change, its connection, the zones that serve it, and what refuses it',
  usage: 'KIND NAME [--mesh MESH]',
  examples: ['zonemesh describe dataplane echo-1', 'zonemesh describe zone/east'],
  arity: { min: 1, max: 2 },
  options: {
    mesh: meshOption,
    ...clientOptions,
  },
  async run(values, { positionals, print }) {
    const { kind, name } = resourceFrom(positionals)
    if (!kind || name === undefined) throw new CommandError('expected KIND NAME', 2)
    const client = createClient(values)
    const { mesh } = values
    // This reports a name that is absent or ambiguous.
    await findItem(client, kind, mesh, name)
    const overview = await findOverview(client, kind, pathOf(kind, mesh, name))
    if (!overview) throw await absentError(client, kind, mesh, name)
    const status = await client.need('GET', '/_status')
    requireFields(client, status, ['role', 'revision'])
    const version = await newestVersion(client, kind, mesh, name)
    const described = { kind, overview, version, status: Object(status.json), nowMs: Date.now() }
    for (const line of descriptionLines(described)) print(line)
    return 0
  },
})

/** The newest version in the history; undefined if the plane keeps none, or does not show it to this caller. */
async function newestVersion(
  client: Client,
  kind: Kind,
  mesh: string,
  name: string,
): Promise<VersionEntry | undefined> {
  const selection = selectionOf({ kind, name }, kind.scope === 'mesh' ? mesh : undefined)
  const reply = await client.call('GET', `/_history?${new URLSearchParams({ ...selection })}`)
  if (reply.status >= 400) return undefined
  requireFields(client, reply, ['items'])
  // The plane answers with its own type.
  return (reply.json as { readonly items: readonly VersionEntry[] }).items[0]
}
