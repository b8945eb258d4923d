import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { parseAs } from '@zonemesh/core/kinds/row.ts'
import type { Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Credentials, ProxyIdentity } from '../xds/contract.ts'

/** All values of each tag of a Dataplane. */
function tagValues(spec: DataplaneSpec): Map<string, Set<string>> {
  const values = new Map<string, Set<string>>()
  const sets = [spec.networking?.gateway?.tags, ...(spec.networking?.inbound ?? []).map((one) => one.tags)]
  for (const tags of sets) {
    for (const [key, value] of Object.entries(tags ?? {})) values.set(key, (values.get(key) ?? new Set()).add(value))
  }
  return values
}

/** Whether the tags of a token cover those of a Dataplane. */
function allowsTags(claims: JsonObject, spec: DataplaneSpec): Result<void, string> {
  const { Tags } = claims
  if (Tags === null || typeof Tags !== 'object' || Array.isArray(Tags)) return ok(undefined)
  const allowed = Object.entries(Tags)
  if (allowed.length === 0) return ok(undefined)
  const values = tagValues(spec)
  for (const [tag, list] of allowed) {
    const given = values.get(tag)
    if (!given) return err(`the token needs the tag "${tag}", which the proxy does not have`)
    const permitted: readonly unknown[] = Array.isArray(list) ? list : []
    for (const value of given) if (!permitted.includes(value)) return err(`the token does not allow ${tag}=${value}`)
  }
  return ok(undefined)
}

/** The credentials from a dataplane token, or the reason why it is not for this proxy. */
function dataplaneCredentials(
  { Name, Mesh, Zone, ...claims }: JsonObject,
  proxy: ProxyIdentity,
  zone: string,
): Result<Credentials, string> {
  if (Zone && Zone !== zone) return err(`the token is for proxies of zone "${String(Zone)}", this is zone "${zone}"`)
  if (Mesh && Mesh !== proxy.mesh)
    return err(`the token is for mesh "${String(Mesh)}", the proxy is in mesh "${proxy.mesh}"`)
  if (Name && Name !== proxy.name)
    return err(`the token is for the proxy "${String(Name)}", this one is "${proxy.name}"`)
  return ok({ covers: (spec) => allowsTags(claims, spec) })
}

const coversAll: Credentials = { covers: () => ok(undefined) }

/** The token without a leading `Bearer`. */
export const bareToken = (token: string | undefined): string => token?.replace(/^Bearer\s+/i, '').trim() ?? ''

/**
 * Checks the token of a proxy: a dataplane token for a Dataplane, a zone token with the right scope for a zone proxy.
 * The caller still has to check that the credentials cover what the proxy registers, and what it replaces or removes.
 */
export async function authenticateProxy(
  deps: { readonly tokens: Tokens; readonly zone: string },
  token: string | undefined,
  proxy: ProxyIdentity,
): Promise<Result<Credentials, string>> {
  const bare = bareToken(token)
  if (!bare) return err('a token is needed, found none')
  if (proxy.type === 'dataplane') {
    const claims = await deps.tokens.verify('dataplane', proxy.mesh, bare)
    return claims.ok ? dataplaneCredentials(claims.value, proxy, deps.zone) : claims
  }
  const claims = await deps.tokens.verify('zone', '', bare)
  if (!claims.ok) return claims
  const { Zone, Scope } = claims.value
  if (Zone && Zone !== deps.zone) return err(`the token is for zone "${String(Zone)}", this is zone "${deps.zone}"`)
  const scopes: readonly unknown[] = Array.isArray(Scope) ? Scope : []
  return scopes.includes(proxy.type)
    ? ok(coversAll)
    : err(`the token's scope is ${scopes.join(', ') || 'empty'}, expected ${proxy.type}`)
}

/**
 * Whether these credentials are good for a row of a proxy. Without this, a token for one service could replace or
 * remove the proxies of all others.
 */
export function coversRow(proxy: ProxyIdentity, credentials: Credentials, row: Row | undefined): Result<void, string> {
  if (!row || proxy.type !== 'dataplane') return ok(undefined)
  const parsed = parseAs(dataplane, row)
  // A row that cannot be parsed has no tags that a token could be for: only its owner's next document mends it.
  if (!parsed.ok) return ok(undefined)
  const covered = credentials.covers(parsed.value.spec)
  return covered.ok
    ? covered
    : err(`${covered.error}; it must also cover the Dataplane "${proxy.name}" as it is stored`)
}
