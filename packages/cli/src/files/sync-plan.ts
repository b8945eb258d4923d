import { isDeepStrictEqual } from 'node:util'
import { admit } from '@zonemesh/core/admit/admit.ts'
import { meshLabel } from '@zonemesh/core/kinds/common.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { Client } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { listItems } from '../resources/items.ts'
import { writableKinds } from '../resources/kinds-of-plane.ts'
import { isGenerated, kindsOfFiles, reasonToKeep } from '../resources/owned.ts'
import { shownName } from '../resources/resource-word.ts'
import type { Named } from './commit.ts'
import { documentIn, type FolderDocument, type Manifest } from './folder.ts'

/** What makes a plane equal to a folder. */
export interface SyncPlan {
  /** The documents that the plane does not have like this. */
  readonly documents: readonly FolderDocument[]
  /** The number of the others. */
  readonly unchanged: number
  readonly deletions: readonly Named[]
  /** Resources without a file that are not deleted, each with the reason. */
  readonly left: readonly string[]
}

/**
 * Compares a folder with a plane. A resource is deleted only if the folder could hold it: its kind, mesh and labels are
 * those of the manifest, its mesh has files, and no user of the folder can have missed it (see owned.ts). Throws a
 * CommandError if a file cannot be used, because then it is not known which resources the folder holds.
 */
export async function planSync(
  client: Client,
  all: readonly FolderDocument[],
  manifest: Manifest,
  onlyMesh: string | undefined,
): Promise<SyncPlan> {
  const owned = kindsOfFiles(await writableKinds(client)).filter(({ name }) => manifest.kinds.includes(name))
  const documents = all.filter(({ resource }) => onlyMesh === undefined || !resource || meshOf(resource) === onlyMesh)
  const faults = [...documents.flatMap((one) => faultOf(one, manifest, owned)), ...twice(documents)]
  if (faults.length > 0) throw new CommandError(`nothing was written: ${faults.join('\n')}`)
  if (documents.length === 0)
    throw new CommandError(
      'nothing was written: the folder has no resources; `zonemesh delete` deletes resources by name',
    )
  const byName = new Map(documents.flatMap((one) => (one.resource ? [[textOf(one.resource), one] as const] : [])))
  const meshes = new Set(documents.flatMap(({ resource }) => (resource ? [meshOf(resource)] : [])))
  const same = new Set<FolderDocument>()
  const deletions: Named[] = []
  const left: string[] = []
  for (const { kind, item } of await listed(client, owned, manifest)) {
    const found = { kind, mesh: String(item['mesh'] ?? ''), name: String(item['name']) }
    const document = byName.get(textOf(found))
    if (document && isSame(document, item)) same.add(document)
    if (document || isGenerated(kind, item) || (onlyMesh !== undefined && meshOf(found) !== onlyMesh)) continue
    const reason = reasonToKeep(kind) ?? reasonOfMesh(meshOf(found), meshes)
    if (reason === undefined) deletions.push(namedOf(found))
    else left.push(`${shownName(namedOf(found))}: left as it is: ${reason}`)
  }
  const changed = documents.filter((one) => !same.has(one))
  return { documents: changed, unchanged: same.size, deletions, left }
}

interface Found {
  readonly kind: Kind
  readonly mesh: string
  readonly name: string
}

const namedOf = ({ kind, mesh, name }: Found): Named => ({
  type: kind.name,
  ...(kind.scope === 'mesh' ? { mesh } : {}),
  name,
})

const reasonOfMesh = (mesh: string, meshes: ReadonlySet<string>): string | undefined =>
  mesh === '' || meshes.has(mesh) ? undefined : `the folder has no files of mesh "${mesh}"`

/** Whether the plane has a document like this. If it is not certain, the plane itself compares them. */
function isSame({ resource }: FolderDocument, item: JsonObject): boolean {
  const read = admit(documentIn(item))
  if (!read.ok || !resource) return false
  const { [meshLabel]: _mesh, ...labels } = resource.labels
  return isDeepStrictEqual(labels, read.value.labels) && isDeepStrictEqual(resource.spec, read.value.spec)
}

/** Documents that describe the same resource. */
function twice(documents: readonly FolderDocument[]): string[] {
  const first = new Map<string, FolderDocument>()
  return documents.flatMap((one) => {
    if (!one.resource) return []
    const former = first.get(textOf(one.resource))
    first.set(textOf(one.resource), former ?? one)
    return former ? [`${one.source.file}:${one.source.line}: this resource is also in ${former.source.file}`] : []
  })
}

/** The mesh to which a resource belongs: a Mesh belongs to itself. The empty text for other kinds of global scope. */
const meshOf = ({ kind, mesh, name }: Found): string => (kind.name === 'Mesh' ? name : mesh)

const textOf = ({ kind, mesh, name }: Found): string => `${kind.name}/${mesh}/${name}`

/** Why a file cannot be used for a sync of what the manifest names. */
function faultOf({ source, resource, refusal }: FolderDocument, manifest: Manifest, owned: readonly Kind[]): string[] {
  const at = `${source.file}:${source.line}: `
  if (!resource) return [`${at}${refusal}`]
  const { kind, labels } = resource
  const mesh = meshOf(resource)
  if (!owned.includes(kind))
    return [`${at}expected one of the kinds ${owned.map(({ name }) => name).join(', ')}, found ${kind.name}`]
  if (mesh !== '' && manifest.meshes !== 'all' && !manifest.meshes.includes(mesh))
    return [`${at}expected a resource of mesh ${manifest.meshes.join(', ')}, as the dump has, found mesh ${mesh}`]
  return Object.entries(manifest.selector).flatMap(([key, value]) =>
    labels[key] === value
      ? []
      : [`${at}expected the label ${key}=${value}, as the dump has, found ${String(labels[key] ?? 'none')}`],
  )
}

/** The resources of a plane that the manifest names. */
async function listed(client: Client, owned: readonly Kind[], { meshes, selector }: Manifest) {
  const found: { readonly kind: Kind; readonly item: JsonObject }[] = []
  for (const kind of owned) {
    const scopes = kind.scope === 'mesh' && meshes !== 'all' ? meshes : [undefined]
    for (const mesh of scopes) {
      const items = await listItems(client, kind, { mesh, selector: new Map(Object.entries(selector)) })
      found.push(...items.map((item) => ({ kind, item })))
    }
  }
  return found.filter(
    ({ kind, item }) => kind.name !== 'Mesh' || meshes === 'all' || meshes.includes(String(item['name'])),
  )
}
