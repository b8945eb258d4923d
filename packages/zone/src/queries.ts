import { readSight } from '@zonemesh/plane/api/sight-route.ts'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { QueryHandler, QueryHandlers } from '@zonemesh/shared/query/exchange.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'

interface Deps {
  readonly sight: Parameters<typeof readSight>[0]
  readonly proxy: QueryHandler
}

/**
 * What this zone answers to its global, and to its own API: `sight` is the input of `zonemesh explain`, and `proxy` a
 * view of one of its proxies. The global has authenticated the caller, and the session has authenticated the global.
 */
export const createZoneQueries = ({ sight, proxy }: Deps): QueryHandlers => ({
  sight: async () => ok(await readSight(sight)),
  proxy,
})

/** Answers the queries of this zone's own API. Another zone is asked through the global. */
export function askOwnZone({ zone, queries }: { readonly zone: string; readonly queries: QueryHandlers }) {
  return async (
    asked: string,
    name: string,
    request: JsonObject,
    signal: AbortSignal,
  ): Promise<Result<JsonObject, QueryFailure>> => {
    const handler = queries[name]
    if (asked !== zone || !handler)
      return err({ code: 'refused', reason: `this is zone "${zone}": ask the global, or zone "${asked}" itself` })
    const answer = await handler(request, signal)
    return answer.ok ? answer : err({ code: 'refused', reason: answer.error })
  }
}
