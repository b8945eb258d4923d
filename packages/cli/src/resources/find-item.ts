import { type Kind, nearest } from '@zonemesh/core/kinds/kind.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { type Client, errorLines, type Reply, requireFields } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { pathOf } from './kinds.ts'

/** The resource with this name, as the plane shows it. Throws an error that suggests the nearest name if it is absent. */
export async function findItem(client: Client, kind: Kind, mesh: string, name: string): Promise<Reply> {
  const reply = await client.call('GET', pathOf(kind, mesh, name))
  if (reply.status === 404) throw await absentError(client, kind, mesh, name)
  if (reply.status >= 400) throw new CommandError(errorLines(reply))
  return reply
}

/** Why there is no such resource, with the nearest name or mesh among the first thousand. */
export async function absentError(client: Client, kind: Kind, mesh: string, name: string): Promise<CommandError> {
  const where = kind.scope === 'mesh' ? ` in mesh "${mesh}"` : ''
  const listed = await client.call('GET', `${pathOf(kind, mesh)}?size=1000`)
  const near = listed.status === 200 ? nearest(name, namesIn(client, listed)) : undefined
  const hint = near === undefined || near === name ? '' : `; did you mean "${near}"?`
  const isMeshAbsent = listed.status === 404 && kind.scope === 'mesh'
  return new CommandError(
    isMeshAbsent
      ? `there is no mesh "${mesh}" at ${client.address}; \`zonemesh get meshes\` lists them`
      : `no ${kind.name} "${name}"${where} at ${client.address}${hint}`,
  )
}

function namesIn(client: Client, reply: Reply): string[] {
  requireFields(client, reply, ['items'])
  // The plane answers with its own list type.
  const { items } = reply.json as { readonly items: readonly JsonObject[] }
  return items.map((item) => String(item['name']))
}
