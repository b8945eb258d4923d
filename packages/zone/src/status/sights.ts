import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { Engine } from '../engine/engine.ts'
import type { Secrets } from '../secrets/secrets.ts'
import type { XdsServer } from '../xds/server.ts'

interface Deps {
  readonly engine: Pick<Engine, 'live' | 'needsOf'>
  readonly secrets: Pick<Secrets, 'identityOf'>
}

const plain = (byType: ReadonlyMap<string, ReadonlyMap<string, string>>): JsonObject =>
  Object.fromEntries([...byType].map(([type, texts]) => [type, Object.fromEntries(texts)]))

/** What each proxy with a stream has accepted, what it refuses, and until when its certificate lasts: see `ProxySight` in core. */
export function proxySights({ engine, secrets }: Deps, xds: Pick<XdsServer, 'live'>): JsonObject {
  const streams = xds.live()
  return Object.fromEntries(
    engine.live().flatMap((proxy) => {
      const { mesh, name } = parseKeyText(proxy)
      const stream = streams.get(`${mesh}.${name}`)
      if (!stream) return []
      const need = engine.needsOf(proxy).find((one) => one.type === 'identity')
      const endsAtMs = need && secrets.identityOf(need)?.notAfterMs
      const [accepted, refused] = [plain(stream.accepted()), plain(stream.refused())]
      const sight = { facts: { ...stream.facts }, connected: true, accepted, refused }
      return [[proxy, endsAtMs === undefined ? sight : { ...sight, certificateEndsAtMs: endsAtMs }]]
    }),
  )
}
