import { registerCommit } from './commit.ts'
import { registerCrud } from './crud.ts'
import { registerEvents } from './events.ts'
import { registerGuards } from './guards.ts'
import { registerHistory } from './history-routes.ts'
import { openApi } from './open-api.ts'
import { registerOverviews } from './overviews.ts'
import { registerProxyViews } from './proxy-views.ts'
import type { DeclaredRoute, Router } from './route.ts'
import { registerRows } from './rows.ts'
import { registerSight } from './sight-route.ts'
import { registerSystem } from './system.ts'
import { registerTokens } from './token-routes.ts'

/** All routes of the API. Every plane serves the same ones. */
export function declareRoutes(): readonly DeclaredRoute[] {
  const declared: DeclaredRoute[] = []
  const route: Router = (method, path, handler, about) => void declared.push({ method, path, handler, about })
  registerSystem(route, () => openApi(declared))
  registerTokens(route)
  registerOverviews(route)
  registerCrud(route)
  registerCommit(route)
  registerHistory(route)
  registerSight(route)
  registerProxyViews(route)
  registerGuards(route)
  registerRows(route)
  registerEvents(route)
  return declared
}
