import { err, ok, type Result } from '../base/base.ts'

/** What a data plane or a zone needs to join, in one string: the address, the token, and the authority to trust. */
export interface Join {
  /**
   * `https://host:port`; for a zone that joins over WebSocket `wss://host:port`, see transport/websocket-address.ts.
   */
  readonly address: string
  /** Further addresses of the same plane, which are tried in turn. */
  readonly otherAddresses?: readonly string[]
  readonly token: string
  /** SHA-256 of the DER form of the plane's CA certificate, in lower case hex. */
  readonly pin: string
}

/** Every join string begins with it. */
export const joinPrefix = 'zmj1.'
const addressForm = /^(https?:\/\/[^/]+\/?|wss?:\/\/[^\s/?]+(\/[^\s?]*)?(\?\S*)?)$/

/** All addresses of the plane, in the order in which they are tried. */
export const addressesOf = ({ address, otherAddresses = [] }: Join): readonly string[] => [address, ...otherAddresses]

/** A string with one address has the form that planes before several addresses read. */
export function encodeJoin(join: Join): string {
  const { token: t, pin: p } = join
  const addresses = addressesOf(join)
  const a = addresses.length === 1 ? addresses[0] : addresses
  return joinPrefix + Buffer.from(JSON.stringify({ a, t, p })).toString('base64url')
}

/**
 * Parses a join string and ignores white space around it. The error never repeats the string, which contains a token.
 */
export function decodeJoin(text: string): Result<Join, string> {
  const trimmed = text.trim()
  if (!trimmed.startsWith(joinPrefix)) return err(`a join string begins with ${joinPrefix}`)
  const fields = parseObject(Buffer.from(trimmed.slice(joinPrefix.length), 'base64url').toString('utf8'))
  if (!fields) return err('the join string is damaged: it is cut off or was changed')
  const { a, t: token, p: pin } = fields
  const [address, ...otherAddresses] = Array.isArray(a) ? a : [a]
  if (!isAddress(address) || !otherAddresses.every(isAddress)) return err('the join string has no address')
  if (typeof token !== 'string') return err('the join string has no token')
  if (typeof pin !== 'string' || !/^[0-9a-f]{64}$/.test(pin)) return err('the join string has no SHA-256 of the CA')
  return ok({ address, ...(otherAddresses.length > 0 ? { otherAddresses } : {}), token, pin })
}

const isAddress = (value: unknown): value is string => typeof value === 'string' && addressForm.test(value)

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' ? { ...value } : undefined
  } catch {
    return undefined
  }
}
