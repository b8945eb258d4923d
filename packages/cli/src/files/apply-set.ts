import { admit } from '@zonemesh/core/admit/admit.ts'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import type { Outcome } from '@zonemesh/plane/api/answers.ts'
import type { Client } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { listItems } from '../resources/items.ts'
import { writableKinds } from '../resources/kinds-of-plane.ts'
import { isGenerated, reasonToKeep } from '../resources/owned.ts'
import { shownName } from '../resources/resource-word.ts'
import type { Named } from './commit.ts'
import type { SourceDocument } from './documents.ts'

/**
 * Sets of resources that are applied together. Each resource of a set has a label with the name of the set, which
 * `apply` writes. A prune deletes the resources with this label that the files no longer have. So it deletes nothing
 * that no `apply` of the same set has written, or to which nobody has given the label.
 */
export const setLabel = 'zonemesh.io/apply-set'

/** Throws a usage error if the name of a set is no value of a label. */
export function requireSetName(name: string | undefined, isPrune: boolean): void {
  if (isPrune && name === undefined) throw new CommandError('--prune: expected --apply-set NAME beside it', 2)
  if (name !== undefined && !/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(name))
    throw new CommandError(
      `--apply-set: expected a name of lower-case letters, digits, "-" and ".", found "${name}"`,
      2,
    )
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

/** The content of a document with the label of a set. Throws if it has the label of another set. */
export function withSet({ file, line, content }: SourceDocument, set: string): unknown {
  if (!isObject(content)) return content
  const metadata = content['metadata']
  const isKubernetes = content['apiVersion'] !== undefined && isObject(metadata)
  const labels: unknown = isKubernetes ? metadata['labels'] : content['labels']
  const given = isObject(labels) ? labels[setLabel] : undefined
  if (given !== undefined && given !== set)
    throw new CommandError(`${file}:${line}: expected no other apply set than "${set}", found "${String(given)}"`)
  // Admission refuses labels that are no map.
  if (labels !== undefined && labels !== null && !isObject(labels)) return content
  const labelled = { ...labels, [setLabel]: set }
  return isKubernetes ? { ...content, metadata: { ...metadata, labels: labelled } } : { ...content, labels: labelled }
}

/** Resources of other sets that these outcomes would take over. */
export function takenOver(outcomes: readonly Outcome[], set: string): string[] {
  return outcomes.flatMap((one) => {
    const former: unknown = Object(one.before?.['labels'])[setLabel]
    return former === undefined || former === set
      ? []
      : [`${shownName(one)}: belongs to the apply set "${String(former)}"; delete it there first`]
  })
}

/** What a prune deletes, and what it leaves, with the reason. */
export interface Pruning {
  readonly deletions: readonly Named[]
  readonly left: readonly string[]
}

/**
 * The resources of a set that the documents no longer have. Throws if a document is not valid, because then it is not
 * known which resource it describes.
 */
export async function planPrune(client: Client, documents: readonly SourceDocument[], set: string): Promise<Pruning> {
  const present = new Set(documents.map(keyOf))
  const writable = await writableKinds(client)
  const deletions: Named[] = []
  const left: string[] = []
  for (const kind of publicKinds.filter(({ name }) => writable.has(name))) {
    for (const item of await listItems(client, kind, { mesh: undefined, selector: new Map([[setLabel, set]]) })) {
      const name = namedOf(kind, String(item['mesh'] ?? ''), String(item['name']))
      if (present.has(shownName(name)) || isGenerated(kind, item)) continue
      const reason = reasonToKeep(kind)
      if (reason === undefined) deletions.push(name)
      else left.push(`${shownName(name)}: left as it is: ${reason}`)
    }
  }
  return { deletions, left }
}

const namedOf = (kind: Kind, mesh: string, name: string): Named => ({
  type: kind.name,
  ...(kind.scope === 'mesh' ? { mesh } : {}),
  name,
})

function keyOf({ file, line, content }: SourceDocument): string {
  const read = admit(content)
  if (!read.ok) throw new CommandError(`${file}:${line}: nothing was written, because this document is not valid`)
  const { kind, mesh, name } = read.value
  return shownName(namedOf(kind, mesh, name))
}
