import { keyText, type Origin, type ResourceKey } from '../../resource/resource.ts'
import type { Change, Commit, Position, Version } from '../../store/store.ts'

/** Where a store stands in the log of a peer: a row of its own, moved in the commit that it describes. Never sent. */
export const positionKind = 'SyncPosition'

/** Which session of a zone is the newest: a row of the global's own. Never sent. */
export const epochKind = 'SyncEpoch'

export const positionKey = (self: Origin, peer: Origin): ResourceKey => ({
  origin: self,
  kind: positionKind,
  mesh: '',
  name: peer,
})

export const positionChange = (self: Origin, peer: Origin, position: Position): Change => ({
  op: 'put',
  key: positionKey(self, peer),
  labels: {},
  spec: { store: position.store, revision: position.revision, commitId: position.commitId },
})

export function positionFrom(version: Version | undefined): Position | undefined {
  const spec = version?.row?.spec
  if (
    typeof spec?.['store'] !== 'string' ||
    typeof spec['revision'] !== 'number' ||
    typeof spec['commitId'] !== 'string'
  )
    return undefined
  return { store: spec['store'], revision: spec['revision'], commitId: spec['commitId'] }
}

export interface RoundLimits {
  readonly changesMax: number
  readonly bytesMax: number
}

const roundLimits: RoundLimits = { changesMax: 1000, bytesMax: 4 * 1024 * 1024 }

/**
 * The commits of one round: of at most 1,000 changes and 4 MiB each, only the last one marks, and the position moves in it.
 * They are to be handed to the store in one turn, so that they share a transaction.
 */
export function commitsOf(
  changes: readonly Change[],
  position: Change,
  why: { readonly subject: string; readonly intent: string },
  limits: RoundLimits = roundLimits,
): Commit[] {
  const parts: Change[][] = [[]]
  let bytes = 0
  for (const change of changes) {
    const size = sizeOf(change)
    const last = parts.at(-1) ?? []
    // One place is kept free for the position.
    if (last.length > 0 && (last.length >= limits.changesMax - 1 || bytes + size > limits.bytesMax)) {
      parts.push([change])
      bytes = size
    } else {
      last.push(change)
      bytes += size
    }
  }
  return parts.map((part, index) =>
    index === parts.length - 1 ? { ...why, changes: [...part, position] } : { ...why, changes: part, mark: false },
  )
}

const sizeOf = (change: Change) =>
  keyText(change.key).length +
  (change.op === 'put' ? JSON.stringify(change.spec).length + JSON.stringify(change.labels).length : 0)
