import { createPrivateKey, createPublicKey, generateKeyPair, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import type { JsonObject, Result } from '@zonemesh/shared/base/base.ts'
import { err, messageOf, ok } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { StoreUnavailableError } from '@zonemesh/shared/store/errors.ts'
import { decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'

/**
 * The three purposes of tokens. As in Kuma, a token is signed with RS256 and `kid` is the serial of the signing key.
 */
export type Purpose = 'user' | 'zone' | 'dataplane'

/** The source of keys. Signing keys exist only on the plane that owns them; public keys are synced to zones. */
export interface KeySource {
  /** The newest signing key in PEM (PKCS #8), with its serial; undefined if this plane cannot issue such tokens. */
  signingKey(purpose: Purpose, mesh: string): Promise<{ readonly kid: string; readonly privateKey: string } | undefined>
  publicKey(purpose: Purpose, mesh: string, kid: string): Promise<string | undefined>
  /** Whether a token is revoked, by its `jti`. */
  isRevoked(purpose: Purpose, mesh: string, id: string): Promise<boolean>
}

export interface UserClaims {
  readonly Name: string
  readonly Groups: readonly string[]
}
export interface ZoneClaims {
  readonly Zone: string
  readonly Scope: readonly string[]
}
export interface DataplaneClaims {
  readonly Name: string
  readonly Mesh: string
  readonly Tags: Readonly<Record<string, readonly string[]>>
  readonly Type: string
  readonly Workload: string
}

const makePair = promisify(generateKeyPair)

/** Creates an RSA-2048 signing key outside of the event loop. */
export async function createSigningKey(): Promise<string> {
  const { privateKey } = await makePair('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

export const publicKeyOf = (privateKey: string): string =>
  createPublicKey(createPrivateKey(privateKey)).export({ type: 'spki', format: 'pem' }).toString()

export interface Tokens {
  /** Issues a token that is valid for `validForMs` from now. Returns undefined if this plane has no signing key. */
  issue(purpose: Purpose, mesh: string, claims: JsonObject, validForMs: number): Promise<string | undefined>
  /** Returns the claims of a token with a valid signature, time and purpose, or the reason why it is invalid. */
  verify(
    purpose: Purpose,
    mesh: string,
    token: string,
    options?: {
      /** Ignores the expiry: for a session that opened while the token was valid. */ readonly evenExpired: boolean
    },
  ): Promise<Result<JsonObject, string>>
}

/** When a token expires, read without verification; undefined if it has no expiry. */
export function tokenEndsAtMs(token: string): number | undefined {
  try {
    const { exp } = decodeJwt(token)
    return exp === undefined ? undefined : exp * 1000
  } catch {
    return undefined
  }
}

const unknownKey = 'there is no'

/** Whether a token was refused because its key is unknown. The key may still arrive by sync. */
export const isUnknownKey = (reason: string): boolean => reason.startsWith(unknownKey)

/** Issues and verifies tokens with the keys of `keys`, by the clock in `deps`. */
export function createTokens(deps: { readonly clock: Clock }, keys: KeySource): Tokens {
  return {
    async issue(purpose, mesh, claims, validForMs) {
      const key = await keys.signingKey(purpose, mesh)
      if (!key) return undefined
      const nowSeconds = Math.floor(deps.clock.wallMs() / 1000)
      return new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'RS256', kid: key.kid, typ: 'JWT' })
        .setIssuedAt(nowSeconds)
        .setNotBefore(nowSeconds - 5)
        .setExpirationTime(nowSeconds + Math.ceil(validForMs / 1000))
        .setJti(randomUUID())
        .sign(createPrivateKey(key.privateKey))
    },
    async verify(purpose, mesh, token, options) {
      try {
        const { kid, alg } = decodeProtectedHeader(token)
        if (alg !== 'RS256') return err(`the token is signed with ${alg}, expected RS256`)
        const publicKey = await keys.publicKey(purpose, mesh, kid ?? '')
        if (!publicKey)
          return err(`${unknownKey} ${purpose} token signing key with serial ${kid}${mesh ? ` in mesh ${mesh}` : ''}`)
        const nowMs = deps.clock.wallMs()
        const endsAtMs = options?.evenExpired ? tokenEndsAtMs(token) : undefined
        const atMs = endsAtMs === undefined ? nowMs : Math.min(nowMs, endsAtMs - 1_000)
        const { payload } = await jwtVerify(token, createPublicKey(publicKey), {
          algorithms: ['RS256'],
          currentDate: new Date(atMs),
        })
        if (await keys.isRevoked(purpose, mesh, payload.jti ?? '')) return err('the token was revoked')
        // The payload was parsed from JSON.
        return ok(payload as JsonObject)
      } catch (thrown) {
        // The token may be valid: the store could not be read.
        if (thrown instanceof StoreUnavailableError) throw thrown
        const message = messageOf(thrown)
        if (/"exp" claim/.test(message)) return err('the token has expired')
        if (/"nbf" claim/.test(message)) return err('the token is not valid yet')
        if (/signature/.test(message)) return err('the token was not signed by this control plane')
        return err(`not a token: ${message}`)
      }
    },
  }
}
