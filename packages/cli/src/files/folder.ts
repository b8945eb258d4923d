import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Admitted, admit, refusalLines } from '@zonemesh/core/admit/admit.ts'
import { meshLabel } from '@zonemesh/core/kinds/common.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import { z } from 'zod'
import { CommandError } from '../base/command.ts'
import { readDocuments, type SourceDocument } from './documents.ts'

/**
 * The folder that `zonemesh dump` writes and `zonemesh sync` reads: one file per resource, below `meshes/NAME/KIND/` or
 * `global/KIND/`, and a manifest that says what the folder holds.
 */
const manifestName = 'zonemesh-dump.json'
export const schemaName = 'zonemesh.schema.json'

const manifestSchema = z.strictObject({
  format: z.literal(1),
  /** The meshes that were dumped; `all` for all that there were. */
  meshes: z.union([z.literal('all'), z.array(z.string())]),
  /** Labels that every resource of the folder has. */
  selector: z.record(z.string(), z.string()),
  /** The kinds that the folder holds. A kind that is not here is not compared with the plane. */
  kinds: z.array(z.string()),
})
/** What a folder holds, and therefore what a sync may delete. */
export type Manifest = z.infer<typeof manifestSchema>

/** Throws a CommandError if the folder was not written by `zonemesh dump`. */
export function readManifest(folder: string): Manifest {
  const path = join(folder, manifestName)
  const wanted =
    'expected a folder that `zonemesh dump` has written; `zonemesh apply -f` writes other files and deletes nothing'
  if (!existsSync(path)) throw new CommandError(`${folder} has no ${manifestName}: ${wanted}`)
  try {
    return manifestSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    throw new CommandError(`${path} cannot be read as the manifest of a dump: ${wanted}`)
  }
}

export const isDump = (folder: string): boolean => existsSync(join(folder, manifestName))

/** Whether a folder is absent, or has no files. */
export function isEmpty(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return true
    throw new CommandError(`cannot read ${folder}: ${messageOf(thrown)}`)
  }
}

/** A name that is safe as the name of a file. Admission accepts no other one. */
const isSafe = (name: string): boolean => /^[A-Za-z0-9][\w.-]*$/.test(name)

/** The path of a resource in the folder; undefined if its name cannot be one of a file. */
export function pathIn(kind: Kind, mesh: string, name: string): string | undefined {
  if (!isSafe(name) || (kind.scope === 'mesh' && !isSafe(mesh))) return undefined
  if (kind.name === 'Mesh') return join('meshes', name, 'mesh.yaml')
  return kind.scope === 'mesh'
    ? join('meshes', mesh, kind.path, `${name}.yaml`)
    : join('global', kind.path, `${name}.yaml`)
}

/** The document of a resource as an API shows it, without times, identifiers and the label that follows from its mesh. */
export function documentIn(item: JsonObject): JsonObject {
  const { creationTime: _created, modificationTime: _modified, kri: _kri, labels, ...rest } = item
  const { [meshLabel]: _mesh, ...kept } = Object(labels)
  const { type, mesh, name, ...spec } = rest
  return {
    type: String(type),
    ...(mesh === undefined ? {} : { mesh }),
    name: String(name),
    ...(Object.keys(kept).length > 0 ? { labels: kept } : {}),
    ...spec,
  }
}

/** One file of a folder. */
export interface FolderFile {
  readonly path: string
  readonly document: JsonObject
  /** Only its owner may read it. */
  readonly isSecret: boolean
}

/** Writes files and the manifest. Removes former files of a dump whose resources are gone, and returns their paths. */
export async function writeFolder(folder: string, manifest: Manifest, files: readonly FolderFile[]): Promise<string[]> {
  const kept = new Set(files.map(({ path }) => path))
  const stale = isDump(folder) ? (await readFolder(folder)).filter((one) => isOwnFile(one) && !kept.has(one.path)) : []
  for (const { path, document, isSecret } of files) {
    const schema = join(
      ...path
        .split('/')
        .slice(1)
        .map(() => '..'),
      schemaName,
    )
    const text = `# yaml-language-server: $schema=${schema}\n${stringify(document, { lineWidth: 0 })}`
    write(join(folder, path), text, isSecret ? 0o600 : 0o644)
  }
  for (const { path } of stale) rmSync(join(folder, path))
  write(join(folder, manifestName), `${JSON.stringify(manifest, undefined, 2)}\n`, 0o644)
  return stale.map(({ path }) => path)
}

export function write(path: string, text: string, mode: number): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text, { mode })
  // A file that existed has kept its mode.
  chmodSync(path, mode)
}

/** A document of a folder. `path` is that of its file from the folder. */
export interface FolderDocument {
  readonly path: string
  readonly source: SourceDocument
  /** What it describes; undefined if admission refuses it, with the reason. */
  readonly resource: Admitted | undefined
  readonly refusal: string | undefined
}

/** All documents below `meshes` and `global`, in the order of their paths. */
export async function readFolder(folder: string): Promise<FolderDocument[]> {
  const paths = ['global', 'meshes']
    .flatMap((root) => (existsSync(join(folder, root)) ? filesBelow(folder, root) : []))
    .filter((path) => /\.ya?ml$/.test(path))
    .sort()
  const documents: FolderDocument[] = []
  for (const path of paths)
    for (const source of await readDocuments([join(folder, path)], {})) documents.push(judged(path, source))
  return documents
}

const filesBelow = (folder: string, root: string): string[] =>
  readdirSync(join(folder, root), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replace(/^\/+/, ''))

function judged(path: string, source: SourceDocument): FolderDocument {
  if (source.error !== undefined) return { path, source, resource: undefined, refusal: source.error }
  const read = admit(source.content)
  if (!read.ok) return { path, source, resource: undefined, refusal: refusalLines(read.error).join('; ') }
  return { path, source, resource: read.value, refusal: undefined }
}

/** Whether a dump has written a file: it holds the resource that its path names. A file of a user stays. */
const isOwnFile = ({ path, resource }: FolderDocument): boolean =>
  resource !== undefined && pathIn(resource.kind, resource.mesh, resource.name) === path
