import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Engine } from '../engine/engine.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { XdsServer } from '../xds/server.ts'

interface Deps {
  readonly engine: Pick<Engine, 'live' | 'needsOf'>
  readonly secrets: Pick<Secrets, 'identityOf'>
}

/** What each proxy with a stream has accepted, and until when its certificate lasts: see `ProxySight` in core. */
export function proxySights({ engine, secrets }: Deps, xds: Pick<XdsServer, 'live'>): JsonObject {
  const streams = xds.live()
  return Object.fromEntries(
    engine.live().flatMap((proxy) => {
      const { mesh, name } = parseKeyText(proxy)
      const stream = streams.get(`${mesh}.${name}`)
      if (!stream) return []
      const need = engine.needsOf(proxy).find((one) => one.type === 'identity')
      const endsAtMs = need && secrets.identityOf(need)?.notAfterMs
      const accepted = Object.fromEntries(
        [...stream.accepted()].map(([type, versions]) => [type, Object.fromEntries(versions)]),
      )
      const sight = { facts: { ...stream.facts }, connected: true, accepted }
      return [[proxy, endsAtMs === undefined ? sight : { ...sight, certificateEndsAtMs: endsAtMs }]]
    }),
  )
}
