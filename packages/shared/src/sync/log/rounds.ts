import { keyText, type Origin, type ResourceKey, type Row } from '../../resource/resource.ts'
import type { Change, Commit, Position, Version } from '../../store/store.ts'

/** Where a store stands in the log of a peer: a row of its own, moved in the commit that it describes. Never sent. */
export const positionKind = 'SyncPosition'

/** Which session of a zone is the newest: a row of the global's own. Never sent. */
export const epochKind = 'SyncEpoch'

/** What remains of a zone's former incarnation, and until when: a row of the global's own. Never sent. */
export const formerKind = 'SyncFormer'

/** Rows of a zone were refused because of its quota: a row of the global's own. Never sent. */
export const quotaKind = 'SyncQuota'

/** Kinds that say where sync itself stands. */
export const syncKinds: ReadonlySet<string> = new Set([positionKind, epochKind, formerKind, quotaKind])

export const positionKey = (self: Origin, peer: Origin): ResourceKey => ({
  origin: self,
  kind: positionKind,
  mesh: '',
  name: peer,
})

export const positionChange = (
  self: Origin,
  peer: Origin,
  position: Position,
  uncovered: readonly Origin[] = [],
): Change => ({
  op: 'put',
  key: positionKey(self, peer),
  labels: {},
  spec: {
    store: position.store,
    revision: position.revision,
    commitId: position.commitId,
    ...(uncovered.length > 0 ? { uncovered } : {}),
  },
})

/** Origins of which rows are here that the peer's store has never named completely. */
export function uncoveredFrom(version: Version | undefined): readonly Origin[] {
  const uncovered = version?.row?.spec['uncovered']
  return Array.isArray(uncovered) ? uncovered.filter((origin): origin is string => typeof origin === 'string') : []
}

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

/** One round in parts of at most 1,000 changes and 4 MiB each. The position moves in the last one; all of them carry the guards. */
export function partsOf(
  changes: readonly Change[],
  last: readonly Change[],
  why: { readonly subject: string; readonly intent: string },
  options: {
    readonly guards?: readonly Change[]
    readonly limits?: RoundLimits
    /** Of all together, where that is known: a small round is not measured. */
    readonly bytes?: number
  } = {},
): Commit[] {
  const { guards = [], limits = roundLimits } = options
  const isSmall = (options.bytes ?? Number.POSITIVE_INFINITY) <= limits.bytesMax
  const parts: Change[][] = [[]]
  let bytes = 0
  for (const change of changes) {
    const size = isSmall ? 0 : bytesOf(change)
    const part = parts.at(-1) ?? []
    const room = limits.changesMax - last.length - guards.length
    if (part.length > 0 && (part.length >= room || bytes + size > limits.bytesMax)) {
      parts.push([change])
      bytes = size
    } else {
      part.push(change)
      bytes += size
    }
  }
  return parts.map((part, index) =>
    index === parts.length - 1
      ? { ...why, changes: [...guards, ...part, ...last] }
      : { ...why, changes: [...guards, ...part] },
  )
}

/** The bytes of a row, as quotas and parts of rounds count them: its key, labels and spec as JSON. */
export const rowBytes = ({ key, labels, spec }: Pick<Row, 'key' | 'labels' | 'spec'>): number =>
  keyText(key).length + JSON.stringify(spec).length + JSON.stringify(labels).length

const bytesOf = (change: Change) => (change.op === 'put' ? rowBytes(change) : keyText(change.key).length)
