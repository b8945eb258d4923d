import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import { type DataplaneSpec, dataplaneRole, dataplaneServices } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { reasonOf, specOf } from '@zonemesh/core/kinds/row.ts'
import { parseRow } from '@zonemesh/core/parse.ts'
import { isUnknownKey } from '@zonemesh/plane/tokens/tokens.ts'
import { err, type JsonObject, messageOf, ok, type Result } from '@zonemesh/shared/base/base.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import type { BootstrapDeps } from '../xds/bootstrap-http.ts'
import type { BootstrapRefusal, BootstrapSubject } from '../xds/bootstrap-request.ts'
import type { Credentials, ProxyIdentity, ProxyType } from '../xds/contract.ts'
import { isProxyType } from '../xds/node.ts'
import type { Registrations } from './registration.ts'

interface Deps {
  readonly store: Store
  readonly zone: string
  readonly registrations: Pick<Registrations, 'stored' | 'read'>
  /** Whether the zone has a first round of its global, so that the absence of a row means that there is none. */
  readonly isComplete: () => boolean
  authenticate(
    token: string,
    proxy: ProxyIdentity,
    brought: DataplaneSpec | undefined,
  ): Promise<Result<Credentials, string>>
}

/** Judges the request for a bootstrap, so that a proxy learns what is wrong before it starts its Envoy. */
export function createBootstrapCheck(deps: Deps): BootstrapDeps['check'] {
  const { store, zone, registrations, authenticate } = deps
  async function meshExists(mesh: string): Promise<boolean> {
    for (const origin of [globalOrigin, zone]) {
      if ((await store.get({ origin, kind: 'Mesh', mesh: '', name: mesh }))?.row) return true
    }
    return false
  }

  /** Why a token is no good. */
  async function refusedToken(
    token: string,
    proxy: ProxyIdentity,
    brought: DataplaneSpec | undefined,
  ): Promise<Result<never, BootstrapRefusal> | undefined> {
    const allowed = await authenticate(token, proxy, brought)
    if (allowed.ok) return undefined
    return err({ status: isUnknownKey(allowed.error) ? 503 : 422, text: allowed.error })
  }

  const refuse = (status: 400 | 404 | 422 | 503, text: string) => err({ status, text })

  /** A proxy that names a row which exists. */
  async function checkStored(identity: ProxyIdentity, token: string) {
    const refused = await refusedToken(token, identity, undefined)
    if (refused) return refused
    const row = await registrations.stored(identity)
    if (!row) return refuse(404, '')
    const parsed = parseRow(row)
    if (!parsed.ok) return refuse(422, `the stored ${row.key.kind} cannot be parsed: ${reasonOf(parsed.error)}`)
    return ok(subjectOf(identity.type === 'dataplane' ? specOf(dataplane, row) : undefined))
  }

  /** A proxy that brings its resource. */
  async function checkBrought(type: ProxyType, text: string, token: string) {
    let resource: JsonObject
    try {
      resource = JSON.parse(text)
    } catch (thrown) {
      return refuse(422, `the resource is not JSON: ${messageOf(thrown)}`)
    }
    const result = registrations.read({ type }, resource)
    if (!result.ok) return refuse(422, result.error)
    const { mesh, name, dataplane: spec } = result.value
    const refused = await refusedToken(token, { type, mesh, name }, spec)
    return refused ?? ok(subjectOf(spec))
  }

  return async ({ proxyType: type, mesh, name, dataplaneToken: token, dataplaneResource }) => {
    if (!isProxyType(type)) return refuse(422, `proxy type "${type}" is not served`)
    if (type === 'dataplane' && !(await meshExists(mesh)))
      return deps.isComplete()
        ? refuse(422, `mesh "${mesh}" does not exist`)
        : refuse(503, `this zone has nothing of its global yet, and no mesh "${mesh}"`)
    // Before anything of the zone is looked up: without a good token, a proxy that exists looks like one that does not.
    if (token.trim() === '')
      return refuse(422, 'A token is required: pass one with --dataplane-token-file or --dataplane-token')
    return dataplaneResource === ''
      ? checkStored({ type, mesh, name }, token)
      : checkBrought(type, dataplaneResource, token)
  }
}

/** `spec` is of a Dataplane; other proxies have none. */
function subjectOf(spec: DataplaneSpec | undefined): BootstrapSubject {
  if (!spec) return { isBuiltinGateway: false }
  const [service] = dataplaneServices(spec)
  const { address, admin } = spec.networking ?? {}
  return {
    ...(service === undefined ? {} : { service }),
    isBuiltinGateway: dataplaneRole(spec) === 'builtin',
    ...(address === undefined ? {} : { address }),
    ...(admin?.port === undefined ? {} : { adminPort: admin.port }),
  }
}
