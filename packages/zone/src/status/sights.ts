import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import type { Engine } from '../engine/engine.ts'
import type { Secrets } from '../secrets/secrets.ts'
import { proxyKey } from '../xds/contract.ts'
import type { XdsServer } from '../xds/server.ts'

interface Deps {
  readonly zone: string
  readonly engine: Pick<Engine, 'live' | 'needsOf'>
  readonly secrets: Pick<Secrets, 'identityOf'>
}

const plain = (byType: ReadonlyMap<string, ReadonlyMap<string, string>>): JsonObject =>
  Object.fromEntries([...byType].map(([type, texts]) => [type, Object.fromEntries(texts)]))

/**
 * For each proxy with a stream: what it has accepted, what it refuses, and when its certificate expires (`ProxySight`
 * in core).
 */
export function proxySights({ zone, engine, secrets }: Deps, xds: Pick<XdsServer, 'live'>): JsonObject {
  const compiled = new Set(engine.live())
  return Object.fromEntries(
    xds.live().flatMap((stream) => {
      const proxy = keyText(proxyKey(zone, stream.proxy))
      if (!compiled.has(proxy)) return []
      const need = engine.needsOf(proxy).find(({ type }) => type === 'identity')
      const endsAtMs = need && secrets.identityOf(need)?.notAfterMs
      const [accepted, refused] = [plain(stream.accepted()), plain(stream.refused())]
      const sight = { facts: { ...stream.facts }, connected: true, accepted, refused }
      return [[proxy, endsAtMs === undefined ? sight : { ...sight, certificateEndsAtMs: endsAtMs }]]
    }),
  )
}
