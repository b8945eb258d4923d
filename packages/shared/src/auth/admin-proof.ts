import { createHmac, timingSafeEqual } from 'node:crypto'

/** The scheme of the Authorization header in which a caller proves that it can read a plane's admin key. */
export const adminScheme = 'Zonemesh-Admin'

/** A proof counts for this long before and after its time: it is made for one request at once, by a clock of the same machine. */
const validMs = 60_000

/** What a proof is bound to, so that a listener that receives it cannot use it for anything else. */
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

/** True if the header was made with the key for this request just now. */
export function isAdminProof(key: string, nowMs: number, request: ProvenRequest, header: string): boolean {
  const [, time = '', mac = ''] = /^Zonemesh-Admin (\d{1,15})\.([\w-]{43})$/.exec(header) ?? []
  if (mac === '' || Math.abs(Number(time) - nowMs) > validMs) return false
  return timingSafeEqual(macOf(key, Number(time), request), Buffer.from(mac, 'base64url'))
}
