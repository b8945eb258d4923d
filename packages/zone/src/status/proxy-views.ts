import { decoded } from '@zonemesh/core/emit/decode.ts'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { byCodeUnit, err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { QueryHandler } from '@zonemesh/shared/query/exchange.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { z } from 'zod'
import type { Engine } from '../engine/engine.ts'
import { type ProxyIdentity, proxyKey } from '../xds/contract.ts'
import type { XdsServer } from '../xds/server.ts'

interface Deps {
  readonly zone: string
  readonly engine: Pick<Engine, 'tableOf'>
  readonly xds: Pick<XdsServer, 'live' | 'ask'>
}

/** What a global asks about a proxy of this zone. Options belong to one view and are ignored by the others. */
const viewRequest = z.object({
  type: z.enum(['dataplane', 'ingress', 'egress']),
  mesh: z.string(),
  name: z.string(),
  view: z.string(),
  includeEds: z.boolean().default(false),
  json: z.boolean().default(false),
  all: z.boolean().default(false),
})

/**
 * The query `proxy`: the configuration of a proxy as this zone has compiled it beside what its Envoy has accepted (view
 * `config`), or a view of the admin interface of its Envoy, which its data plane reads.
 */
export function createProxyViews({ zone, engine, xds }: Deps): QueryHandler {
  return async (request, signal) => {
    const read = viewRequest.safeParse(request)
    if (!read.success) return err('the query names no proxy and view that this version knows')
    const { type, mesh, name, view, ...options } = read.data
    const proxy: ProxyIdentity = { type, mesh, name }
    if (view === 'config') return configOf(proxy)
    const answer = await xds.ask(proxy, 'envoy', { view, ...options }, signal)
    return answer.ok ? answer : err(answer.error.reason)
  }

  function configOf(proxy: ProxyIdentity): Result<JsonObject, string> {
    const table = engine.tableOf(keyText(proxyKey(zone, proxy)))
    const stream = xds
      .live()
      .find(({ proxy: { type, mesh, name } }) => type === proxy.type && mesh === proxy.mesh && name === proxy.name)
    if (!table || !stream)
      return err(`${proxy.type} "${proxy.name}" has no Envoy connected to zone "${zone}", so it is not compiled`)
    return ok(comparison(table, stream))
  }
}

type Table = NonNullable<ReturnType<Engine['tableOf']>>

function comparison(table: Table, stream: Pick<ReturnType<XdsServer['live']>[number], 'accepted' | 'refused'>) {
  const [accepted, refused] = [stream.accepted(), stream.refused()]
  const xds: Record<string, JsonObject> = {}
  const differences: JsonObject[] = []
  for (const type of Object.values(typeUrls).sort(byCodeUnit)) {
    const compiled = table.resources.get(type) ?? new Map<string, { readonly version: string }>()
    xds[type] = decoded(table, type) as JsonObject // protobuf prints JSON
    for (const name of [...new Set([...compiled.keys(), ...(accepted.get(type)?.keys() ?? [])])].sort(byCodeUnit)) {
      const [wanted, running] = [compiled.get(name)?.version, accepted.get(type)?.get(name)]
      const reason = refused.get(type)?.get(name)
      if (wanted === running && reason === undefined) continue
      differences.push({
        ...{ type, name },
        ...(wanted === undefined ? {} : { compiled: wanted }),
        ...(running === undefined ? {} : { accepted: running }),
        ...(reason === undefined ? {} : { refused: reason }),
      })
    }
  }
  return { xds, differences }
}
