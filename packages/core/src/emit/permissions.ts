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
 * Role-based access control: a connection is accepted if a rule allows its certificate and no rule denies it. Without
 * rules, no connection is accepted. All rules are in one filter that allows, so that the order of filters cannot
 * override a denial.
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
 * Matches clients with all these tags in their certificate: the service as SPIFFE id, the other tags as
 * `kuma://<tag>/<value>`. The service `*` matches every accepted connection: the chain already accepts only
 * certificates of services of the mesh, and a second check would cost time on each request.
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
