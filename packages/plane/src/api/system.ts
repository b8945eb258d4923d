import { hostname } from 'node:os'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import type { ApiPlane } from './plane.ts'
import { isWritable } from './resources.ts'
import type { Router } from './route.ts'

/** The version that the API shows. kumactl compares it with its own version and does not warn about a preview. */
const apiVersion = `${version}-preview`

/** Registers the routes that describe the plane itself. */
export function registerSystem(route: Router, plane: ApiPlane): void {
  route(
    'GET',
    '/',
    async () => ({
      status: 200,
      body: {
        hostname: hostname(),
        product: 'Zonemesh',
        version: apiVersion,
        instanceId: plane.instanceId,
        clusterId: plane.store.id,
        mode: plane.role,
        gui: '',
      },
    }),
    { public: true },
  )
  route('GET', '/who-am-i', async ({ user }) => ({ status: 200, body: { name: user.name, groups: user.groups } }))
  route('GET', '/config', async () => ({ status: 200, body: plane.config }))
  route('GET', '/_status', async () => ({ status: 200, body: await plane.status() }))
  route('GET', '/_join', async () => ({ status: 200, body: plane.join }))
  route('GET', '/_resources', async () => ({
    status: 200,
    body: {
      resources: publicKinds
        .map((kind) => ({
          includeInFederation: kind.travel === 'global-to-zones',
          name: kind.name,
          path: kind.path,
          pluralDisplayName: kind.title.plural,
          ...(kind.isPolicy
            ? {
                policy: {
                  hasFromTargetRef: kind.layout === 'nested',
                  hasRulesTargetRef: false,
                  hasToTargetRef: false,
                  isFromAsRules: false,
                  isTargetRef: kind.layout === 'nested',
                },
              }
            : {}),
          readOnly: !isWritable(plane, kind),
          scope: kind.scope === 'mesh' ? 'Mesh' : 'Global',
          shortName: kind.shortName,
          singularDisplayName: kind.title.singular,
        }))
        .sort((a, b) => byCodeUnit(a.name, b.name)),
    },
  }))
}
