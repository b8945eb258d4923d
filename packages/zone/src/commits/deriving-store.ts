import type { Now } from '@zonemesh/core/names/address-book.ts'
import { withRounds } from '@zonemesh/plane/with-commit.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { isNewer } from '@zonemesh/shared/resource/resource.ts'
import { changesPerCommitMax } from '@zonemesh/shared/store/plan.ts'
import { changesAfter, stateAt } from '@zonemesh/shared/store/state.ts'
import type { Change, Commit, CommitOutcome, RoundOptions, Store, Version } from '@zonemesh/shared/store/store.ts'

/** Something the zone decides by itself whenever rows change: virtual addresses, announced services. */
export interface Derivation {
  /** The rows that follow from these changes. Changes nothing. */
  preview(changes: readonly Change[], now: Now): readonly Change[]
  /** What was written, own rows included; also how it loads at start. */
  applied(versions: readonly Version[], monotonicMs: number): void
}

/**
 * A store whose rounds carry what follows from them, in the same transaction: an announced service cannot be seen
 * without its Dataplane, nor a name without its address. Rounds go one after the other, because each preview builds on
 * what the former one wrote.
 */
export function deriveOnCommit(
  deps: { readonly clock: Clock },
  store: Store,
  derivations: readonly Derivation[],
): Store {
  let last: Promise<unknown> = Promise.resolve()
  /** The derivations know what was written up to this revision; undefined before the first round, when they know all. */
  let known: number | undefined
  let isUnsure = false

  /** A round that failed may be durable all the same: what follows next must build on it. */
  async function catchUp(): Promise<void> {
    const { revision } = await store.head()
    if (known !== undefined && isUnsure && revision > known) {
      const nowMs = deps.clock.monotonicMs()
      const versions = await changesAfter(store, known, revision)
      if (!versions) throw new Error(`the changes after revision ${known} are gone: start this control plane again`)
      for (const derivation of derivations) derivation.applied(versions, nowMs)
    }
    known = revision
    isUnsure = false
  }

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

  async function commitRound(parts: readonly Commit[], options?: RoundOptions): Promise<CommitOutcome> {
    if (known === undefined || isUnsure) await catchUp()
    const effectiveParts: Commit[] = []
    for (const part of parts) effectiveParts.push({ ...part, changes: await effective(part.changes) })
    const made = effectiveParts.flatMap(({ changes }) => changes.filter(({ op }) => op !== 'check'))
    const derived: Change[] = []
    const now = {
      wallMs: deps.clock.wallMs(),
      monotonicMs: deps.clock.monotonicMs(),
      incarnation: store.incarnation,
    }
    for (const derivation of derivations) derived.push(...derivation.preview([...made, ...derived], now))
    isUnsure = true
    const outcome = await store.commitRound(withConsequences(effectiveParts, derived), options)
    isUnsure = false
    if (!outcome.ok) return outcome
    for (const derivation of derivations) derivation.applied(outcome.written, deps.clock.monotonicMs())
    known = outcome.position.revision
    return outcome
  }

  return withRounds(store, (parts, options) => {
    const next = last.then(() => commitRound(parts, options))
    last = next.catch(() => undefined)
    return next
  })
}

/** The consequences stand in the last part if it has room for them, else in parts of their own before it. */
function withConsequences(parts: readonly Commit[], derived: readonly Change[]): readonly Commit[] {
  const last = parts.at(-1)
  if (!last || derived.length === 0) return parts
  if (last.changes.length + derived.length <= changesPerCommitMax)
    return [...parts.slice(0, -1), { ...last, changes: [...last.changes, ...derived] }]
  const extra: Commit[] = []
  for (let at = 0; at < derived.length; at += changesPerCommitMax)
    extra.push({ ...last, changes: derived.slice(at, at + changesPerCommitMax) })
  return [...parts.slice(0, -1), ...extra, last]
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
