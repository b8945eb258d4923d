import { hostname } from 'node:os'
import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { byCodeUnit } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import type { ApiPlane } from './plane.ts'
import { isWritable } from './resources.ts'
import type { About, Router } from './route.ts'
import { objectShape } from './shape.ts'

/** The version that the API shows. kumactl compares it with its own version and does not warn about a preview. */
const apiVersion = `${version}-preview`

const about = (summary: string, what: string, access: About['access'] = 'readers'): About => ({
  group: 'Plane',
  summary,
  access,
  answers: { 200: { what, shape: objectShape } },
})

/** Registers the routes that describe the plane itself. `description`: the OpenAPI document of all routes. */
export function registerSystem(route: Router, description: () => object): void {
  route(
    'GET',
    '/',
    async (plane) => ({
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
    about('Shows which control plane this is', 'product, version, role and store of the plane', 'anyone'),
  )
  route(
    'GET',
    '/openapi.json',
    async () => ({ status: 200, body: description() }),
    about('Shows this description of the API', 'an OpenAPI 3.1 document'),
  )
  route(
    'GET',
    '/who-am-i',
    async (_plane, { user }) => ({ status: 200, body: { name: user.name, groups: user.groups } }),
    about('Shows the caller as the plane knows it', 'name and groups of the caller'),
  )
  route(
    'GET',
    '/config',
    async ({ config }) => ({ status: 200, body: config }),
    about('Shows the settings of the plane', 'the settings, without secrets'),
  )
  route(
    'GET',
    '/_status',
    async (plane) => ({ status: 200, body: await plane.status() }),
    about('Shows the status that `zonemesh status` prints', 'the status of the plane, its zones and its proxies'),
  )
  route(
    'GET',
    '/_join',
    async ({ join }) => ({ status: 200, body: join }),
    about('Shows the parts of a join string for this plane', 'the pin of its authority, its addresses and ports'),
  )
  route(
    'GET',
    '/_resources',
    async (plane) => ({ status: 200, body: { resources: publicKinds.map((kind) => shown(plane, kind)).sort(byName) } }),
    about('Lists the kinds of resources', 'each kind with its path, its scope and whether this plane writes it'),
  )
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => byCodeUnit(a.name, b.name)

/** A kind in the shape that kumactl and the GUI of Kuma read. */
function shown(plane: ApiPlane, kind: Kind) {
  const policy = {
    hasFromTargetRef: kind.layout === 'nested',
    hasRulesTargetRef: false,
    hasToTargetRef: false,
    isFromAsRules: false,
    isTargetRef: kind.layout === 'nested',
  }
  return {
    includeInFederation: kind.travel === 'global-to-zones',
    name: kind.name,
    path: kind.path,
    pluralDisplayName: kind.title.plural,
    ...(kind.isPolicy ? { policy } : {}),
    readOnly: !isWritable(plane, kind),
    scope: kind.scope === 'mesh' ? 'Mesh' : 'Global',
    shortName: kind.shortName,
    singularDisplayName: kind.title.singular,
  }
}
