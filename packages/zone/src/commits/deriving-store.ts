import type { Now } from '@zonemesh/core/names/address-book.ts'
import { withCommit } from '@zonemesh/plane/with-commit.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { isNewer } from '@zonemesh/shared/resource/resource.ts'
import { stateAt } from '@zonemesh/shared/store/state.ts'
import type { Change, Commit, CommitOutcome, Store, Version } from '@zonemesh/shared/store/store.ts'

/** Something the zone decides by itself whenever rows change: virtual addresses, announced services. */
export interface Derivation {
  /** The rows that follow from these changes. Changes nothing. */
  preview(changes: readonly Change[], now: Now): readonly Change[]
  /** What was written, own rows included; also how it loads at start. */
  applied(versions: readonly Version[], monotonicMs: number): void
}

const changesMax = 1000

/**
 * A store whose commits carry what follows from them, in the same transaction: an announced service cannot be seen
 * without its Dataplane, nor a name without its address. Commits go one after the other, because each preview builds on
 * what the former one wrote.
 */
export function deriveOnCommit(
  deps: { readonly clock: Clock },
  store: Store,
  derivations: readonly Derivation[],
): Store {
  let last: Promise<unknown> = Promise.resolve()

  /** Received rows that the store would skip must not have consequences. */
  async function effective(changes: readonly Change[]): Promise<Change[]> {
    const kept: Change[] = []
    for (const change of changes) {
      const forced = change.op === 'put' && change.forced
      if (change.op !== 'forget' && change.op !== 'check' && change.stamp && !forced) {
        const here = await store.get(change.key)
        // What was forgotten may come back as it was, as in the store itself.
        if (here && here.state !== 'forgotten' && !isNewer(change.stamp, here.stamp)) continue
      }
      kept.push(change)
    }
    return kept
  }

  async function commit(input: Commit): Promise<CommitOutcome> {
    const changes = await effective(input.changes)
    const derived: Change[] = []
    const now = { wallMs: deps.clock.wallMs(), monotonicMs: deps.clock.monotonicMs() }
    const made = changes.filter(({ op }) => op !== 'check')
    for (const derivation of derivations) derived.push(...derivation.preview([...made, ...derived], now))
    const together = changes.length + derived.length <= changesMax
    // Too many for one commit: consequences first, held back from the mark until their cause is there.
    for (let at = 0; !together && at < derived.length; at += changesMax) {
      const part = await store.commit({ ...input, changes: derived.slice(at, at + changesMax), mark: false })
      if (!part.ok) return part
      for (const derivation of derivations) derivation.applied(part.written, deps.clock.monotonicMs())
    }
    const outcome = await store.commit({ ...input, changes: together ? [...changes, ...derived] : changes })
    if (outcome.ok) for (const derivation of derivations) derivation.applied(outcome.written, deps.clock.monotonicMs())
    return outcome
  }

  return withCommit(store, (input) => {
    const next = last.then(() => commit(input))
    last = next.catch(() => undefined)
    return next
  })
}

/** Gives the derivations all live rows, before the first commit. */
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
