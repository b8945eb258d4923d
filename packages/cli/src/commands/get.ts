import { option, text } from '@zonemesh/plane/config/options.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { type Client, clientOptions, createClient, errorLines, requireFields } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { kindByWord, pathOf } from '../base/kinds.ts'
import { age, table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'

const yamlText = (value: unknown): string => stringify(value, { lineWidth: 0 }).trimEnd()

/** All pages of a list. */
async function listAll(client: Client, path: string): Promise<JsonObject[]> {
  const items: JsonObject[] = []
  for (let offset = 0; ; ) {
    const reply = await client.need('GET', `${path}?size=1000&offset=${offset}`)
    requireFields(client, reply, ['items', 'next'])
    // The plane answers with its own list type.
    const page = reply.json as {
      readonly items: readonly JsonObject[]
      readonly next: string | null
    }
    items.push(...page.items)
    offset += page.items.length
    if (page.next === null || page.items.length === 0) return items
  }
}

export const get = defineCommand({
  name: 'get',
  summary: 'show resources of a kind, or one by its name',
  usage: 'KIND [NAME] [-o table|wide|yaml|json] [--mesh MESH]',
  examples: ['zonemesh get meshes', 'zonemesh get meshgatewayroutes', 'zonemesh get dataplane echo-1 -o yaml'],
  arity: { min: 1, max: 2 },
  options: {
    output: option(z.enum(['table', 'wide', 'yaml', 'json']).optional(), 'how to show it: table, wide, yaml, json', {
      placeholder: 'FORMAT',
      short: 'o',
      shownDefault: 'table for lists, yaml for one',
    }),
    mesh: option(text.default('default'), 'the mesh of mesh-scoped kinds', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'default',
    }),
    ...clientOptions,
  },
  async run(values, { positionals, print }) {
    const [word = '', name] = positionals
    const kind = kindByWord(word)
    const client = createClient(values)
    if (name !== undefined) {
      const reply = await client.call('GET', pathOf(kind, values.mesh, name))
      if (reply.status === 404)
        throw new CommandError(
          `no ${kind.name} "${name}"${kind.scope === 'mesh' ? ` in mesh "${values.mesh}"` : ''} at ${client.address}`,
        )
      if (reply.status >= 400) throw new CommandError(errorLines(reply))
      print(values.output === 'json' ? jsonText(reply.json) : yamlText(reply.json))
      return 0
    }
    const items = await listAll(client, pathOf(kind, values.mesh))
    if (values.output === 'json') print(jsonText(items))
    else if (values.output === 'yaml') for (const item of items) print(`---\n${yamlText(item)}`)
    else {
      const wide = values.output === 'wide'
      const nowMs = Date.now()
      const rows = items.map((item) => [
        ...(kind.scope === 'mesh' ? [String(item['mesh'])] : []),
        String(item['name']),
        age(String(item['modificationTime']), nowMs),
        ...(wide ? [labelsText(item), JSON.stringify(specOf(item)).slice(0, 160)] : []),
      ])
      const header = [
        ...(kind.scope === 'mesh' ? ['MESH'] : []),
        'NAME',
        'CHANGED',
        ...(wide ? ['LABELS', 'SPEC'] : []),
      ]
      for (const line of table(header, rows)) print(line)
      if (items.length === 0) print(`no ${kind.title.plural.toLowerCase()}`)
    }
    return 0
  },
})

const envelope = new Set(['type', 'mesh', 'name', 'creationTime', 'modificationTime', 'labels', 'kri'])
const specOf = (item: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(item).filter(([key]) => !envelope.has(key)))
const labelsText = (item: JsonObject): string =>
  Object.entries(item['labels'] ?? {})
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(',') || '-'
