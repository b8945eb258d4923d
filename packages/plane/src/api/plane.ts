import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { JsonObject, Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { Sealer } from '../authority/seal.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Trail } from '../history/versions.ts'
import type { Tokens } from '../tokens/tokens.ts'
import type { AnonymousRules } from './identity.ts'
import type { Placement } from './placement.ts'

/** How far a write has come in one zone. */
export interface ZoneReceipt {
  readonly zone: string
  readonly state: 'reached' | 'pending' | 'refused' | 'offline'
  /** From commit to the zone's word that it is there, by this plane's monotonic clock. */
  readonly delayMs?: number
  readonly reason?: string
}

export interface Receipt {
  readonly revision: string
  readonly level: 'stored' | 'served'
  readonly complete: boolean
  readonly zones: readonly ZoneReceipt[]
}

/** What the REST API needs to know of the control plane that it speaks for. */
export interface ApiPlane {
  readonly role: 'global' | 'zone' | 'standalone'
  /** The origin of what is written here. */
  readonly origin: string
  /** Where to write what this plane does not own: the global's address, for people. */
  readonly writeElsewhere: string
  readonly store: Store
  /** What the store has, for lists and names. */
  readonly catalogue: Catalogue
  readonly tokens: Tokens
  readonly sealer: Sealer
  readonly clock: Clock
  readonly log: Log
  readonly localhostIsAdmin: boolean
  /** Whoever proves that it can read this key is the administrator. */
  readonly adminKey: string
  /** What callers may do that show neither a token nor the key. */
  readonly anonymousRules: AnonymousRules
  /** What this plane refuses of proxies because of where it listens itself. */
  readonly placement: Placement
  readonly instanceId: string
  /** The plane's own commit: adds what follows from the changes. */
  commit(commit: Commit): Promise<CommitOutcome>
  /** The insight of a row in Kuma's shape, if anything is known of it. */
  insight(kind: string, row: Row): JsonObject | undefined
  /** Resources that are not served as written, with the reason: what `zonemesh status` shows. */
  status(): Promise<JsonObject>
  /** True while the zone has a session; such a zone cannot be deleted. */
  isZoneOnline(zone: string): boolean
  /** Lets through what a zone holds, or asks the zone to; or why there is nothing to let through. A standalone zone has none. */
  releaseHold?(zone: string, hold: string | undefined): Promise<Result<Hold, string>>
  /** Keeps what remains of a zone's lost store; false when nothing does. Only a global can. */
  keepFormer?(zone: string, subject: string): Promise<boolean>
  /** Waits until the commit is stored or served everywhere, or the time is over. */
  receipt(
    revision: number,
    level: 'stored' | 'served',
    zones: readonly string[] | undefined,
    timeoutMs: number,
  ): Promise<Receipt>
  /** What the proxies of a zone have accepted, by the key text of their rows; see explain/sources.ts in core. */
  proxySights?(): JsonObject
  /** Which zones ran a revision since when; only a global knows. */
  readonly trail?: Trail
  /** The running configuration without secrets. */
  readonly config: JsonObject
  /** What a join string for this plane needs. */
  readonly join: {
    readonly pin: string
    readonly syncPort?: number
    /** Where zones that only get through over HTTP join: WebSocket over TLS. */
    readonly webSocketPort?: number | undefined
    readonly proxyPort?: number
  }
  /** Rows of a kind as shown, e.g. with composed services. */
  decorate(kind: Kind, row: Row): Promise<JsonObject>
}
