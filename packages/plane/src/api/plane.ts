import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import type { JsonObject, Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Tracer } from '@zonemesh/shared/env/trace.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import type { Sealer } from '../authority/seal.ts'
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Trail } from '../history/versions.ts'
import type { Tokens } from '../tokens/tokens.ts'
import type { Receipt } from './answers.ts'
import type { AnonymousRules } from './identity.ts'
import type { Placement } from './placement.ts'

/** What a caller waits for. */
export interface ReceiptWait {
  readonly revision: number
  readonly level: 'stored' | 'served'
  /** `online`: the zones that are connected now; `every`: all enabled zones. */
  readonly zones: readonly string[] | 'online' | 'every'
  readonly timeoutMs: number
}

/** The control plane behind the REST API. */
export interface ApiPlane {
  readonly role: 'global' | 'zone' | 'standalone'
  /** The origin of the rows that this plane writes. */
  readonly origin: string
  /** Where the API of the global is, for messages that refuse a request here. */
  readonly globalApi: string
  readonly store: Store
  /** The index of the store, for lists and names. */
  readonly catalogue: Catalogue
  readonly tokens: Tokens
  readonly sealer: Sealer
  readonly clock: Clock
  readonly log: Log
  /** Default: nothing is traced. */
  readonly tracer?: Tracer
  readonly localhostIsAdmin: boolean
  /** A caller that proves that it can read this key is an administrator. */
  readonly adminKey: string
  /** What callers without a token or the key may do. */
  readonly anonymousRules: AnonymousRules
  /** The plane's own addresses and ports, which proxies must not use. */
  readonly placement: Placement
  readonly instanceId: string
  /** The commit of this plane, which adds the rows that it derives from the changes. */
  commit(commit: Commit): Promise<CommitOutcome>
  /** The insight of a row in Kuma's shape; undefined if there is no information. */
  insight(kind: string, row: Row): JsonObject | undefined
  /** The status of the plane, which `zonemesh status` shows. */
  status(): Promise<JsonObject>
  /** Whether the zone has a session. Such a zone cannot be deleted. */
  isZoneOnline(zone: string): boolean
  /**
   * Releases the hold of a zone, or asks the zone to do so. Returns the reason if there is no hold. A standalone zone
   * has none.
   */
  releaseHold?(zone: string, hold: string | undefined): Promise<Result<Hold, string>>
  /** Keeps the remaining rows of a zone's lost store. Returns false if there are none. Only a global has this. */
  keepFormer?(zone: string, subject: string): Promise<boolean>
  /** Waits until the zones store or serve the commit, or until the timeout. */
  receipt(wait: ReceiptWait): Promise<Receipt>
  /**
   * The configuration that the proxies of a zone have accepted, by the key text of their rows; see explain/sources.ts
   * in core.
   */
  proxySights?(): Promise<JsonObject>
  /** Asks a zone over its session, or answers for the own zone. Resolves with the answer, or why there is none. */
  askZone(
    zone: string,
    name: string,
    request: JsonObject,
    signal: AbortSignal,
  ): Promise<Result<JsonObject, QueryFailure>>
  /** Asks the global over the session of this zone. Only a zone that is joined to a global has this. */
  askGlobal?(name: string, request: JsonObject, signal: AbortSignal): Promise<Result<JsonObject, QueryFailure>>
  /** Which zones ran a revision, and since when. Only a global has this. */
  readonly trail?: Trail
  /** The running configuration without secrets. */
  readonly config: JsonObject
  /** The parts of a join string for this plane. */
  readonly join: {
    readonly pin: string
    /** The address on which it listens. */
    readonly host: string
    readonly syncPort?: number
    /** The port of sync over WebSocket with TLS, for zones that reach the global only over HTTP. */
    readonly webSocketPort?: number | undefined
    readonly proxyPort?: number
  }
  /** The spec of a row as shown, for example with composed services. */
  decorate(kind: Kind, row: Row): Promise<JsonObject>
}
