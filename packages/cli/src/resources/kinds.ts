import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { unservedReason } from '@zonemesh/core/kinds/unserved.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { CommandError } from '../base/command.ts'

/** A kind by any common spelling: `MeshGateway`, `meshgateway`, `meshgateways`, `mesh-gateway`, `mgw`. */
export function kindByWord(word: string): Kind {
  const plain = (text: string) => text.toLowerCase().replaceAll('-', '')
  const wanted = plain(word)
  const found = publicKinds.find((kind) =>
    [kind.name, kind.path, ...kind.pathAliases, kind.shortName, kind.commandName].some(
      (name) => name !== '' && plain(name) === wanted,
    ),
  )
  if (found) return found
  const unserved = unservedReason(word)
  if (unserved !== undefined) throw new CommandError(unserved, 2)
  const candidate = nearest(
    word,
    publicKinds.flatMap((kind) => [kind.name.toLowerCase(), kind.path]),
  )
  throw new CommandError(
    `unknown kind "${word}"${candidate ? `; did you mean "${candidate}"?` : ''} (known: ${publicKinds.map((kind) => kind.name.toLowerCase()).join(', ')})`,
    2,
  )
}

/** The URL of a collection or item. */
export function pathOf(kind: Kind, mesh: string, name?: string): string {
  const collection = kind.scope === 'mesh' ? `/meshes/${encodeURIComponent(mesh)}/${kind.path}` : `/${kind.path}`
  return name === undefined ? collection : `${collection}/${encodeURIComponent(name)}`
}
