import { err, ok, type Result } from '../base/base.ts'
import { globalOrigin } from '../resource/resource.ts'
import type { Goodbye, Hold, Message, Welcome } from './log/messages.ts'
import { type ProtocolOffer, rangeText } from './log/protocol.ts'

/** What a zone expects in the welcome of the global. */
export interface Expected {
  readonly zone: string
  readonly protocol: ProtocolOffer
  /** The store of the global whose rows this zone holds; undefined if it holds none yet. */
  readonly knownStore: string | undefined
  /** The store of another global that an operator has accepted. */
  readonly acceptedStore: string | undefined
}

export interface Unwelcome {
  readonly goodbye: Goodbye
  /** An operator may release this hold; then the next welcome of that global is accepted. */
  readonly hold: Hold | undefined
}

/** The welcome, or why the first frame of the global opens no session. */
export function judgeWelcome(first: Message, expected: Expected): Result<Welcome, Unwelcome> {
  const refuse = (reason: string): Result<never, Unwelcome> =>
    err({ goodbye: { code: 'protocol', reason }, hold: undefined })
  if (first.type !== 'welcome') return refuse(`expected welcome as the first frame, found ${first.type}`)
  const { welcome } = first
  const { zone, protocol, knownStore, acceptedStore } = expected
  if (welcome.protocol < protocol.min || welcome.protocol > protocol.max)
    return refuse(`expected sync protocol ${rangeText(protocol)} in the welcome, found ${welcome.protocol}`)
  if (welcome.zone !== zone)
    return wrong(welcome, `expected the token of zone ${zone}, found one of zone ${welcome.zone}`)
  if (knownStore === undefined || knownStore === welcome.storeId || acceptedStore === welcome.storeId)
    return ok(welcome)
  return wrong(
    welcome,
    `expected the global whose store is ${knownStore}, found one whose store is ${welcome.storeId}: this zone accepts no rows from it until an operator accepts it`,
  )
}

const prefix = 'global:'

const wrong = ({ storeId }: Welcome, reason: string): Result<never, Unwelcome> =>
  err({
    goodbye: { code: 'wrong-global', reason },
    hold: { id: `${prefix}${storeId}`, origin: globalOrigin, reason, removals: 0 },
  })

/** The store that a hold of `judgeWelcome` names; undefined for every other hold. */
export const storeOfForeign = ({ id }: Hold): string | undefined =>
  id.startsWith(prefix) ? id.slice(prefix.length) : undefined
