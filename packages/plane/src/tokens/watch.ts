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

/** A token that somebody has shown and that counts for as long as what it opened stays open. */
export interface HeldToken {
  readonly purpose: Purpose
  readonly mesh: string
  readonly token: string
  /** Whose it is, for people: a zone, or a proxy. */
  readonly who: string
  /** Whether what it opened ends with it. A revoked token ends it in any case. */
  readonly endsOnExpiry: boolean
}

/** Whatever made the change, another process of the store too, is noticed within this. */
const lookEveryMs = 2_000

/**
 * Looks after tokens that are in use: `end` is called once, with a sentence, when the token was revoked, its key is gone, or it has
 * ended. Looks at the store itself, so it needs nobody to tell it, and checks again only when a row that tokens are judged by changed.
 */
export function createTokenWatch({ store, tokens, clock, log }: Deps) {
  // Limit: one for each open session, which has limits of its own.
  const held = new Map<object, HeldToken & { readonly endsAtMs: number | undefined; end(reason: string): void }>()
  let seen = ''
  let seenRevision = -1
  const looking = repeat(clock, lookEveryMs, look)

  async function look(): Promise<void> {
    try {
      const nowMs = clock.wallMs()
      const isOver = (one: { readonly endsAtMs: number | undefined; readonly endsOnExpiry: boolean }) =>
        one.endsOnExpiry && one.endsAtMs !== undefined && one.endsAtMs <= nowMs
      const hasChanged = await changed()
      for (const [id, one] of [...held]) if (hasChanged || isOver(one)) await check(id)
    } catch (thrown) {
      log.warn({ reason: messageOf(thrown) }, 'cannot look whether tokens still count')
    }
  }

  async function changed(): Promise<boolean> {
    const { revision } = await store.mark()
    if (revision === seenRevision) return false
    const rows = await Promise.all(publicTokenKinds.map((kind) => store.scan({ kind }, { at: revision })))
    const found = canonicalJson(rows.flat().map(({ key, spec }) => ({ key: { ...key }, spec })))
    seenRevision = revision
    if (found === seen) return false
    seen = found
    return true
  }

  async function check(id: object): Promise<void> {
    const one = held.get(id)
    if (!one) return
    const { purpose, mesh, token, who } = one
    const result = await tokens.verify(purpose, mesh, token, { evenExpired: !one.endsOnExpiry })
    if (result.ok || !held.has(id)) return
    held.delete(id)
    log.warn({ who, purpose }, `a token counts no more: ${result.error}`)
    one.end(result.error)
  }

  return {
    /** Watches a token until disposed; it is looked at once more now, as it may have changed since it was let in. */
    hold(token: HeldToken, end: (reason: string) => void): Disposable {
      const id = {}
      held.set(id, { ...token, endsAtMs: tokenEndsAtMs(token.token), end })
      void check(id).catch((thrown: unknown) => log.warn({ reason: messageOf(thrown) }, 'cannot look at a token'))
      return { [Symbol.dispose]: () => void held.delete(id) }
    },
    /** A row that tokens are judged by may have changed. */
    wake: look,
    /** The tokens in use, and when each ends. */
    live: () =>
      [...held.values()].flatMap(({ purpose, who, endsAtMs }) =>
        endsAtMs === undefined ? [] : [{ purpose, who, endsAtMs }],
      ),
    close(): void {
      looking[Symbol.dispose]()
      held.clear()
    },
  }
}
export type TokenWatch = ReturnType<typeof createTokenWatch>
