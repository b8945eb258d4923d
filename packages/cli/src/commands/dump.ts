import { join } from 'node:path'
import { schemaOfResources } from '@zonemesh/core/json-schema.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { option, toggle } from '@zonemesh/plane/config/options.ts'
import { clientOptions, createClient } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import {
  documentIn,
  type FolderFile,
  isDump,
  isEmpty,
  pathIn,
  schemaName,
  write,
  writeFolder,
} from '../files/folder.ts'
import { listItems } from '../resources/items.ts'
import { writableKinds } from '../resources/kinds-of-plane.ts'
import { isSigningKey, kindsOfFiles } from '../resources/owned.ts'
import { scopeFrom, scopeOptions } from './get.ts'

/** A dump of one mesh has its Mesh and what is in it, and no other resources of global scope. */
const isInScope = (kind: Kind, mesh: string | undefined): boolean =>
  mesh === undefined || kind.scope === 'mesh' || kind.name === 'Mesh'

export const dump = defineCommand({
  name: 'dump',
  summary: 'write the resources of a control plane into a folder, one file each, for git and for `zonemesh sync`',
  usage: 'DIR [--mesh MESH | -A] [-l KEY=VALUE] [--with-secrets]',
  examples: ['zonemesh dump ./mesh -A', 'zonemesh dump ./shop --mesh shop -l team=shop'],
  arity: { min: 1, max: 1 },
  options: {
    ...scopeOptions,
    withSecrets: option(toggle.default(false), 'also Secrets, with their data; their files are readable only by you'),
    ...clientOptions,
  },
  async run(values, { positionals, print, note }) {
    const [folder = ''] = positionals
    const scope = scopeFrom(values)
    if (!isEmpty(folder) && !isDump(folder))
      throw new CommandError(
        `${folder} has files that are no dump: name an empty folder, or one that a dump has written`,
      )
    const client = createClient(values)
    const kinds = kindsOfFiles(await writableKinds(client)).filter(
      (kind) => (values.withSecrets || !kind.adminOnly) && isInScope(kind, scope.mesh),
    )
    if (kinds.length === 0)
      throw new CommandError(
        `${client.address} writes no resources of files: its global control plane has them; name that with --address`,
      )
    const files: FolderFile[] = []
    for (const kind of kinds) {
      for (const item of await listItems(client, kind, scope)) {
        const [mesh, name] = [String(item['mesh'] ?? ''), String(item['name'])]
        if (kind.name === 'Mesh' && scope.mesh !== undefined && name !== scope.mesh) continue
        const path = pathIn(kind, mesh, name)
        if (isSigningKey(kind, item)) continue
        if (item['unparsed'] !== undefined || path === undefined) {
          note(`${kind.name} ${mesh === '' ? '' : `${mesh}/`}${name}: left out, because it cannot be parsed`)
          continue
        }
        files.push({ path, document: documentIn(item), isSecret: kind.adminOnly })
      }
    }
    const manifest = {
      format: 1,
      meshes: scope.mesh === undefined ? ('all' as const) : [scope.mesh],
      selector: Object.fromEntries(scope.selector),
      kinds: kinds.map(({ name }) => name),
    } as const
    const removed = await writeFolder(folder, { ...manifest, kinds: [...manifest.kinds] }, files)
    write(join(folder, schemaName), `${JSON.stringify(schemaOfResources(), undefined, 2)}\n`, 0o644)
    for (const path of removed) print(`removed ${join(folder, path)}`)
    print(`wrote ${files.length} resource${files.length === 1 ? '' : 's'} to ${folder}`)
    return 0
  },
})
