import { canonicalJson, messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, repeat } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { publicTokenKinds } from './keeper.ts'
import { type Purpose, type Tokens, tokenEndsAtMs } from './tokens.ts'

interface Deps {
  readonly store: Pick<Store, 'mark' | 'scan'>
  readonly tokens: Pick<Tokens, 'verify'>
  readonly clock: Clock
  readonly log: Log
}

/** A token in use: it was presented by a peer and must stay valid while its session is open. */
export interface HeldToken {
  readonly purpose: Purpose
  readonly mesh: string
  readonly token: string
  /** The zone or proxy that uses it, for messages. */
  readonly who: string
  /** Whether the session ends when the token expires. It always ends when the token is revoked. */
  readonly endsOnExpiry: boolean
}

/** The time within which a change by any process of the store is noticed. */
const checkEveryMs = 2_000

/**
 * Watches tokens in use. It calls `end` once, with the reason, when a token is revoked, its key is deleted, or it
 * expires. It polls the store, so that it does not depend on wake-ups, and verifies tokens again only when a key or a
 * revocation has changed.
 */
export function createTokenWatch({ store, tokens, clock, log }: Deps) {
  // Limit: one per open session, and sessions are limited themselves.
  const held = new Map<object, HeldToken & { readonly endsAtMs: number | undefined; end(reason: string): void }>()
  let seenRows = ''
  let seenRevision = -1
  const checking = repeat(clock, checkEveryMs, checkAll)

  async function checkAll(): Promise<void> {
    try {
      const nowMs = clock.wallMs()
      const hasExpired = (entry: { readonly endsAtMs: number | undefined; readonly endsOnExpiry: boolean }) =>
        entry.endsOnExpiry && entry.endsAtMs !== undefined && entry.endsAtMs <= nowMs
      const hasChanged = await changed()
      for (const [id, entry] of [...held]) if (hasChanged || hasExpired(entry)) await check(id)
    } catch (thrown) {
      log.warn({ reason: messageOf(thrown) }, 'cannot check whether the tokens in use are still valid')
    }
  }

  async function changed(): Promise<boolean> {
    const { revision } = await store.mark()
    if (revision === seenRevision) return false
    const rows = await Promise.all(publicTokenKinds.map((kind) => store.scan({ kind }, { at: revision })))
    const found = canonicalJson(rows.flat().map(({ key, spec }) => ({ key: { ...key }, spec })))
    seenRevision = revision
    if (found === seenRows) return false
    seenRows = found
    return true
  }

  async function check(id: object): Promise<void> {
    const entry = held.get(id)
    if (!entry) return
    const { purpose, mesh, token, who } = entry
    const result = await tokens.verify(purpose, mesh, token, { evenExpired: !entry.endsOnExpiry })
    if (result.ok || !held.has(id)) return
    held.delete(id)
    log.warn({ who, purpose }, `a token in use is no longer valid: ${result.error}`)
    entry.end(result.error)
  }

  return {
    /**
     * Watches a token until disposed. Verifies it at once, because it may have been revoked since the peer was
     * admitted.
     */
    hold(token: HeldToken, end: (reason: string) => void): Disposable {
      const id = {}
      held.set(id, { ...token, endsAtMs: tokenEndsAtMs(token.token), end })
      void check(id).catch((thrown: unknown) => log.warn({ reason: messageOf(thrown) }, 'cannot check a token in use'))
      return { [Symbol.dispose]: () => void held.delete(id) }
    },
    /** A key or a revocation may have changed. */
    wake: checkAll,
    /** The tokens in use, with their expiry. */
    live: () =>
      [...held.values()].flatMap(({ purpose, who, endsAtMs }) =>
        endsAtMs === undefined ? [] : [{ purpose, who, endsAtMs }],
      ),
    close(): void {
      checking[Symbol.dispose]()
      held.clear()
    },
  }
}
export type TokenWatch = ReturnType<typeof createTokenWatch>
