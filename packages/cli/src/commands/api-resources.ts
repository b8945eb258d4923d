import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { tableOrJson } from '../base/output-form.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'
import { writableKinds } from '../resources/kinds-of-plane.ts'

const travels: Readonly<Record<Kind['travel'], string>> = {
  'global-to-zones': 'global to zones',
  'zone-to-global': 'zone to global',
  'zone-relayed': 'zone to all zones',
  internal: 'not synced',
}

export const apiResources = defineCommand({
  name: 'api-resources',
  summary: 'list the kinds of resources: their names, where they are written, and which way they are synced',
  usage: '[-o table|json]',
  examples: ['zonemesh api-resources', 'zonemesh api-resources -o json'],
  arity: { min: 0, max: 0 },
  options: {
    output: tableOrJson,
    ...clientOptions,
  },
  async run(values, { print }) {
    const writable = await writableKinds(createClient(values))
    const resources = publicKinds.map((kind) => ({
      kind: kind.name,
      plural: kind.path,
      shortName: kind.shortName || kind.commandName,
      scope: kind.scope,
      writtenOn: writtenOn(kind),
      sync: travels[kind.travel],
      writable: writable.has(kind.name),
      adminOnly: kind.adminOnly,
    }))
    if (values.output === 'json') print(jsonText(resources))
    else {
      const cells = resources.map((one) => [
        ...[one.kind, one.plural, one.shortName || '-', one.scope, one.writtenOn, one.sync],
        `${one.writable ? 'yes' : 'no'}${one.adminOnly ? ' (administrators)' : ''}`,
      ])
      const titles = ['KIND', 'PLURAL', 'SHORT', 'SCOPE', 'WRITTEN ON', 'SYNC', 'WRITABLE HERE']
      for (const line of table(titles, cells)) print(line.trimEnd())
    }
    return 0
  },
})

/** A zone without a global owns every kind. */
const writtenOn = ({ writable }: Kind): string =>
  writable.global && writable.zone ? 'global, zone' : writable.global ? 'global' : 'zone'
