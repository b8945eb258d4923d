import { type Client, requireFields } from '../base/client.ts'

/** The names of the kinds that users may write on a control plane. */
export async function writableKinds(client: Client): Promise<ReadonlySet<string>> {
  const reply = await client.need('GET', '/_resources')
  requireFields(client, reply, ['resources'])
  // The plane answers with its own type.
  const { resources } = reply.json as { readonly resources: readonly { name: string; readOnly: boolean }[] }
  return new Set(resources.filter(({ readOnly }) => !readOnly).map(({ name }) => name))
}
