import type { AuthorityUseSpec } from '@zonemesh/core/kinds/internal.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { createListeners } from '@zonemesh/shared/base/listeners.ts'
import { type Clock, repeat } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { createTurns } from '@zonemesh/shared/env/turns.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { createPeers, goneAfterMs, type RemoteStream } from './peers.ts'
import { createPublication, removePublication, type Sources } from './publication.ts'
import type { OtherReplica } from './replica.ts'

export interface ZoneReplicas extends AsyncDisposable {
  /** The other live replicas. */
  others(): readonly OtherReplica[]
  /** The roots in use at other replicas, in a mesh, also at those that have just gone: their Envoys run on. */
  otherUses(mesh: string): readonly AuthorityUseSpec[]
  /** The proxies of this process have changed. */
  changed(): void
  /** What this process serves may have changed: it is published soon. */
  hurry(): void
  /** Called after something was read that was not known before. */
  onChange(listener: () => void): Disposable
  onStream(listener: (stream: RemoteStream) => void): Disposable
}

/** How often a replica publishes what has changed, and reads what the others have published, without a wake-up. */
const exchangeEveryMs = 250
/** Changes and wake-ups within this time share an exchange. */
const gatherMs = 20
/** How long proxies of a replica that is gone may still show what it had issued: see `stayMs` of secrets/use.ts. */
const usesStayMs = 35_000

/** The exchange of a zone with one process. */
export const noReplicas: ZoneReplicas = {
  others: () => [],
  otherUses: () => [],
  changed: () => undefined,
  hurry: () => undefined,
  onChange: () => ({ [Symbol.dispose]: () => undefined }),
  onStream: () => ({ [Symbol.dispose]: () => undefined }),
  [Symbol.asyncDispose]: async () => undefined,
}

/**
 * Exchanges what the replicas of a zone know between them, in notes of their store: which marks their proxies serve, and
 * which proxies are connected to which replica. Notes are state and never enter the log.
 */
export function joinReplicas(
  { store, clock, log }: { readonly store: Pick<Store, 'notes'>; readonly clock: Clock; readonly log: Log },
  instance: string,
  sources: Sources,
): ZoneReplicas {
  const { notes } = store
  const listeners = createListeners()
  const streamListeners = createListeners<RemoteStream>()
  const publication = createPublication({ notes, clock }, instance, sources)
  const peers = createPeers({ notes, clock, log }, instance, streamListeners.call)

  async function exchange(): Promise<void> {
    try {
      await publication.publish()
      if (!(await peers.collect())) return
    } catch (cause) {
      publication.forget()
      return log.debug({ reason: messageOf(cause) }, 'cannot exchange state with the other replicas of this zone')
    }
    listeners.call()
  }

  const turns = createTurns(clock, gatherMs, exchange)
  const exchanging = repeat(clock, exchangeEveryMs, turns.run, 0)
  const woken = notes.onWake(turns.soon)
  return {
    others: () => peers.within(goneAfterMs),
    otherUses: (mesh) => peers.within(usesStayMs).flatMap(({ uses }) => (uses[mesh] ? [uses[mesh]] : [])),
    changed: publication.proxiesChanged,
    hurry: turns.soon,
    onChange: listeners.add,
    onStream: streamListeners.add,
    async [Symbol.asyncDispose]() {
      for (const one of [exchanging, woken, turns]) one[Symbol.dispose]()
      await turns.idle()
      // The others find out after a while if the store does not answer.
      await removePublication(notes, instance).catch(() => undefined)
    },
  }
}
