import type { Now } from '@zonemesh/core/names/address-book.ts'
import { withRounds } from '@zonemesh/plane/with-commit.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { isNewer } from '@zonemesh/shared/resource/resource.ts'
import { changesPerCommitMax } from '@zonemesh/shared/store/plan.ts'
import { changesAfter, stateAt } from '@zonemesh/shared/store/state.ts'
import type { Change, Commit, CommitOutcome, RoundOptions, Store, Version } from '@zonemesh/shared/store/store.ts'

/** Rows that the zone derives from other rows: virtual addresses, announced services. */
export interface Derivation {
  /** Returns the changes to derived rows that these changes cause. Does not change the state of the derivation. */
  preview(changes: readonly Change[], now: Now): readonly Change[]
  /** Takes in the versions that were written, derived rows included. At the start it receives all live rows. */
  applied(versions: readonly Version[], monotonicMs: number): void
}

/**
 * A store that writes derived rows in the same round as the rows that cause them: no reader sees an announced service
 * without its Dataplane, or a name without its address. Rounds run one after the other, because each preview builds on
 * the rows that the former round wrote.
 */
export function deriveOnCommit(
  deps: { readonly clock: Clock },
  store: Store,
  derivations: readonly Derivation[],
): Store {
  let last: Promise<unknown> = Promise.resolve()
  /**
   * The derivations have taken in all versions up to this revision; undefined before the first round, when they are
   * complete.
   */
  let appliedRevision: number | undefined
  let isUnsure = false

  /** A round that failed may still be durable, and the next preview must build on it. */
  async function catchUp(): Promise<void> {
    const { revision } = await store.head()
    if (appliedRevision !== undefined && isUnsure && revision > appliedRevision) {
      const nowMs = deps.clock.monotonicMs()
      const versions = await changesAfter(store, appliedRevision, revision)
      if (!versions)
        throw new Error(
          `the changes after revision ${appliedRevision} are no longer in the log: restart this control plane`,
        )
      for (const derivation of derivations) derivation.applied(versions, nowMs)
    }
    appliedRevision = revision
    isUnsure = false
  }

  async function commitRound(parts: readonly Commit[], options?: RoundOptions): Promise<CommitOutcome> {
    if (appliedRevision === undefined || isUnsure) await catchUp()
    const effectiveParts: Commit[] = []
    for (const part of parts) effectiveParts.push({ ...part, changes: await effectiveChanges(store, part.changes) })
    const made = effectiveParts.flatMap(({ changes }) => changes.filter(({ op }) => op !== 'check'))
    const derived: Change[] = []
    const now = {
      wallMs: deps.clock.wallMs(),
      monotonicMs: deps.clock.monotonicMs(),
      incarnation: store.incarnation,
    }
    for (const derivation of derivations) derived.push(...derivation.preview([...made, ...derived], now))
    isUnsure = true
    const outcome = await store.commitRound(withDerived(effectiveParts, derived), options)
    isUnsure = false
    if (!outcome.ok) return outcome
    for (const derivation of derivations) derivation.applied(outcome.written, deps.clock.monotonicMs())
    appliedRevision = outcome.position.revision
    return outcome
  }

  return withRounds(store, (parts, options) => {
    const next = last.then(() => commitRound(parts, options))
    last = next.catch(() => undefined)
    return next
  })
}

/** Drops received rows that the store would skip: nothing may be derived from them. */
async function effectiveChanges(store: Store, changes: readonly Change[]): Promise<Change[]> {
  const kept: Change[] = []
  for (const change of changes) {
    const forced = change.op === 'put' && change.forced
    if (change.op !== 'forget' && change.op !== 'check' && change.stamp && !forced) {
      const here = await store.get(change.key)
      // As in the store, a forgotten row may return with the same stamp.
      if (here && here.state !== 'forgotten' && !isNewer(change.stamp, here.stamp)) continue
    }
    kept.push(change)
  }
  return kept
}

/** Adds the derived changes to the last part if it has room, else in parts of their own before it. */
function withDerived(parts: readonly Commit[], derived: readonly Change[]): readonly Commit[] {
  const last = parts.at(-1)
  if (!last || derived.length === 0) return parts
  if (last.changes.length + derived.length <= changesPerCommitMax)
    return [...parts.slice(0, -1), { ...last, changes: [...last.changes, ...derived] }]
  const extra: Commit[] = []
  for (let at = 0; at < derived.length; at += changesPerCommitMax)
    extra.push({ ...last, changes: derived.slice(at, at + changesPerCommitMax) })
  return [...parts.slice(0, -1), ...extra, last]
}

/** Passes all live rows to the derivations, before the first commit. */
export async function loadDerivations(
  deps: { readonly clock: Clock },
  store: Store,
  derivations: readonly Derivation[],
): Promise<void> {
  const { revision } = await store.head()
  for await (const versions of stateAt(store, revision)) {
    for (const derivation of derivations) derivation.applied(versions, deps.clock.monotonicMs())
  }
}
