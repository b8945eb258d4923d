import { createHmac, timingSafeEqual } from 'node:crypto'

/** The scheme of the Authorization header in which a caller proves that it can read a plane's admin key. */
export const adminScheme = 'Zonemesh-Admin'

/**
 * A proof is valid for this long before and after its time. It is made for an immediate request, by the same machine's
 * clock.
 */
const validMs = 60_000

/**
 * The request to which a proof is bound, so that a listener that receives the proof cannot use it for another request.
 */
export interface ProvenRequest {
  readonly method: string
  /** The Host header, with its port. */
  readonly host: string
  /** The path with its query. */
  readonly path: string
}

const macOf = (key: string, atMs: number, { method, host, path }: ProvenRequest): Buffer =>
  createHmac('sha256', key).update([atMs, method, host, path].join('\n')).digest()

/** The header of one request. The key itself never leaves the machine. */
export const adminProof = (key: string, nowMs: number, request: ProvenRequest): string =>
  `${adminScheme} ${nowMs}.${macOf(key, nowMs, request).toString('base64url')}`

/** True if the header was made with this key for this request within the validity time. */
export function isAdminProof(key: string, nowMs: number, request: ProvenRequest, header: string): boolean {
  const [, time = '', mac = ''] = /^Zonemesh-Admin (\d{1,15})\.([\w-]{43})$/.exec(header) ?? []
  if (mac === '' || Math.abs(Number(time) - nowMs) > validMs) return false
  return timingSafeEqual(macOf(key, Number(time), request), Buffer.from(mac, 'base64url'))
}
