import { parseAs } from '@zonemesh/core/kinds/row.ts'
import { isEnabled, outsideLimits, zone as zoneKind } from '@zonemesh/core/kinds/zone.ts'
import type { Tokens } from '@zonemesh/plane/tokens/tokens.ts'
import { err, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { QueryHandlers } from '@zonemesh/shared/query/exchange.ts'
import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'

interface Deps {
  readonly store: Pick<Store, 'get'>
  readonly tokens: Pick<Tokens, 'issue'>
  readonly log: Log
}

const tokenRequest = z.object({
  mesh: z.string().min(1),
  name: z.string(),
  tags: z.record(z.string(), z.array(z.string())),
  workload: z.string(),
  validForMs: z.number().positive(),
})

/**
 * What the global answers to a zone. `dataplane-token` signs a token for a proxy of this zone: an administrator of the
 * zone asks, and the session has authenticated the zone. The token is good in this zone only and within its limits, so
 * a zone in wrong hands gains nothing elsewhere.
 */
export function createZoneQueries({ store, tokens, log }: Deps): (zone: string) => QueryHandlers {
  async function mayUse(zone: string, mesh: string): Promise<Result<void, string>> {
    const row = (await store.get({ origin: globalOrigin, kind: 'Zone', mesh: '', name: zone }))?.row
    const parsed = row && parseAs(zoneKind, row)
    if (!parsed?.ok || !isEnabled(parsed.value.spec)) return err(`the Zone "${zone}" is disabled or deleted`)
    const outside = outsideLimits(parsed.value.spec.limits ?? {}, mesh, undefined)
    if (outside !== undefined) return err(outside)
    const known = await store.get({ origin: globalOrigin, kind: 'Mesh', mesh: '', name: mesh })
    return known?.row ? ok(undefined) : err(`there is no mesh "${mesh}"`)
  }

  return (zone) => ({
    async 'dataplane-token'(request) {
      const read = tokenRequest.safeParse(request)
      if (!read.success) return err('the request for a token has another form than this version of the global expects')
      const { mesh, name, tags, workload, validForMs } = read.data
      const allowed = await mayUse(zone, mesh)
      if (!allowed.ok) return allowed
      const claims = { Name: name, Mesh: mesh, Tags: tags, Type: 'dataplane', Workload: workload, Zone: zone }
      const token = await tokens.issue('dataplane', mesh, claims, validForMs)
      if (token === undefined) return err(`the mesh "${mesh}" has no key for tokens yet`)
      log.info({ zone, mesh, name }, 'signed a token for a proxy at the request of its zone')
      return ok({ token })
    },
  })
}
