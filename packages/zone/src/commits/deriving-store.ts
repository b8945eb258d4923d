import type { Now } from '@zonemesh/core/names/address-book.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { createListeners } from '@zonemesh/shared/base/listeners.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { isNewer } from '@zonemesh/shared/resource/resource.ts'
import { createFollower } from '@zonemesh/shared/store/follower.ts'
import { changesPerCommitMax } from '@zonemesh/shared/store/plan.ts'
import type { Change, Commit, CommitOutcome, RoundOptions, Store, Version } from '@zonemesh/shared/store/store.ts'
import { withRounds } from '@zonemesh/shared/store/wrap.ts'

/** Rows that the zone derives from other rows: virtual addresses, announced services. */
export interface Derivation {
  /** Returns the changes to derived rows that these changes cause. Does not change the state of the derivation. */
  preview(changes: readonly Change[], now: Now): readonly Change[]
  /** Takes in the versions that were written, derived rows included. At the start it receives all live rows. */
  applied(versions: readonly Version[], monotonicMs: number): void
}

interface Deps {
  readonly clock: Clock
  readonly log: Log
}

export interface DerivingStore extends Store {
  /** Called after each mark, when the derivations have taken in what other processes have written. */
  onDerived(listener: () => void): Disposable
}

/**
 * A store that writes derived rows in the same round as the rows that cause them: no reader sees an announced service
 * without its Dataplane, or a name without its address. The rounds of this process run one after the other, because
 * each preview builds on the rows that the former round wrote. The store accepts a round only if nothing was written
 * since the state from which it was derived. So a round of another process, or one that failed and is durable
 * nevertheless, is taken in first, and the round is derived again. `isShared`: other processes use the store.
 */
export async function openDerivingStore(
  deps: Deps,
  store: Store,
  derivations: readonly Derivation[],
  { isShared = false }: { readonly isShared?: boolean } = {},
): Promise<DerivingStore> {
  const follower = createFollower(store)
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const next = last.then(task)
    last = next.catch(() => undefined)
    return next
  }

  function apply(versions: readonly Version[]): void {
    for (const derivation of derivations) derivation.applied(versions, deps.clock.monotonicMs())
  }

  async function catchUp(): Promise<void> {
    const { revision } = await store.head()
    if (revision > follower.revision()) apply(await follower.readTo(revision))
  }

  async function commitRound(parts: readonly Commit[], options?: RoundOptions): Promise<CommitOutcome> {
    for (;;) {
      if (options?.head !== undefined) await catchUp()
      const head = follower.revision()
      // The caller has derived from another state.
      if (head !== (options?.head ?? head)) return { ok: false, conflicts: [], isBehind: true }
      const outcome = await store.commitRound(await derivedFrom(deps, store, derivations, parts), { ...options, head })
      if (outcome.ok) {
        follower.take(outcome.written, outcome.position.revision)
        apply(outcome.written)
        return outcome
      }
      if (!outcome.isBehind) return outcome
      await catchUp()
    }
  }

  await catchUp()
  const listeners = createListeners()
  // Also takes in the rounds of other processes while this one writes nothing: what it derives from stays recent.
  store.onMark(() => {
    if (!isShared) return listeners.call()
    inTurn(catchUp).then(listeners.call, (cause: unknown) =>
      deps.log.debug({ reason: messageOf(cause) }, 'cannot read what other replicas have written; trying again later'),
    )
  })
  const deriving = withRounds(store, (parts, options) => inTurn(() => commitRound(parts, options)))
  // Not a spread, which would keep the incarnation of now.
  return Object.assign(deriving, { onDerived: listeners.add })
}

/** The parts with the rows that follow from them. */
async function derivedFrom(
  { clock }: Pick<Deps, 'clock'>,
  store: Store,
  derivations: readonly Derivation[],
  parts: readonly Commit[],
): Promise<readonly Commit[]> {
  const effectiveParts: Commit[] = []
  for (const part of parts) effectiveParts.push({ ...part, changes: await effectiveChanges(store, part.changes) })
  const made = effectiveParts.flatMap(({ changes }) => changes.filter(({ op }) => op !== 'check'))
  const now = { wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs(), incarnation: store.incarnation }
  const derived: Change[] = []
  for (const derivation of derivations) derived.push(...derivation.preview([...made, ...derived], now))
  return withDerived(effectiveParts, derived)
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
