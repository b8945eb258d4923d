import { keyText, type Origin, type ResourceKey, type Row } from '../../resource/resource.ts'
import type { Change, Commit, Position, Version } from '../../store/store.ts'

/** The position of a store in the log of a peer: an own row, written in the commit that it describes. Never sent. */
export const positionKind = 'SyncPosition'

/** The newest session of a zone: a row of the global. Never sent. */
export const epochKind = 'SyncEpoch'

/** Rows of a zone's former incarnation remain: a row of the global with their number. Never sent. */
export const formerKind = 'SyncFormer'

/** Rows of a zone were refused because of its quota: a row of the global. Never sent. */
export const quotaKind = 'SyncQuota'

/** The kinds that record the state of sync itself. */
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

/** Origins with rows in this store that the peer's store has never named completely. */
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

/**
 * Splits a round into parts of at most 1,000 changes and 4 MiB. The last part moves the position; each part has the
 * guards.
 */
export function partsOf(
  changes: readonly Change[],
  last: readonly Change[],
  why: Omit<Commit, 'changes' | 'declared'>,
  options: {
    readonly guards?: readonly Change[]
    readonly limits?: RoundLimits
    /** The bytes of all changes, if known: a small round is then not measured. */
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
