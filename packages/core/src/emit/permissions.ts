import { create } from '@bufbuild/protobuf'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import {
  Principal_AuthenticatedSchema as AuthenticatedSchema,
  type Principal,
  PrincipalSchema,
  type RBAC,
  RBAC_Action,
  RBACSchema,
  Principal_SetSchema as SetSchema,
} from '../../gen/envoy/config/rbac/v3/rbac_pb.js'
import { serviceTag, type Tags } from '../kinds/common.ts'
import { sortedTags } from '../kinds/tags.ts'
import type { PermissionRule, Permissions } from '../policies/permissions.ts'

/**
 * Role-based access: a connection is let in if a rule allows its certificate and none denies it. Without any rule nobody
 * is. All is said in one filter that allows, so that a denial cannot be undone by the order of filters.
 */
export function accessRules(mesh: string, { allow, deny }: Permissions): RBAC {
  const denied = deny.map((rule) => principalOf(mesh, rule.source))
  const exception = denied.length > 0 ? [principal({ case: 'notId', value: anyOf(denied) })] : []
  const byPolicy = Map.groupBy(allow, (rule: PermissionRule) => rule.policy)
  return create(RBACSchema, {
    action: RBAC_Action.ALLOW,
    policies: Object.fromEntries(
      [...byPolicy]
        .sort(([a], [b]) => byCodeUnit(a, b))
        .map(([policy, rules]) => [
          policy,
          {
            permissions: [{ rule: { case: 'any' as const, value: true } }],
            principals: rules.map((rule) => allOf([principalOf(mesh, rule.source), ...exception])),
          },
        ]),
    ),
  })
}

/**
 * Whoever has all these tags in its certificate: the service as SPIFFE id, the others as `kuma://<tag>/<value>`. Any
 * service is whoever came in: the chain takes certificates of services of the mesh only, and asking again costs each request.
 */
function principalOf(mesh: string, source: Tags): Principal {
  const asked = sortedTags(source).filter(([key, value]) => key !== serviceTag || value !== '*')
  const names = asked.map(([key, value]) => {
    const stem = key === serviceTag ? `spiffe://${mesh}/` : `kuma://${key}/`
    return value === '*'
      ? ({ case: 'prefix', value: stem } as const)
      : ({ case: 'exact', value: stem + value } as const)
  })
  if (names.length === 0) return principal({ case: 'any', value: true })
  return allOf(
    names.map((matchPattern) =>
      principal({ case: 'authenticated', value: create(AuthenticatedSchema, { principalName: { matchPattern } }) }),
    ),
  )
}

const principal = (identifier: Principal['identifier']): Principal => create(PrincipalSchema, { identifier })

function allOf(ids: readonly Principal[]): Principal {
  const [only] = ids
  return only && ids.length === 1 ? only : principal({ case: 'andIds', value: create(SetSchema, { ids: [...ids] }) })
}

const anyOf = (ids: readonly Principal[]): Principal =>
  principal({ case: 'orIds', value: create(SetSchema, { ids: [...ids] }) })
