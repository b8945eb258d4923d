import { z } from 'zod'
import { protoEnum, selectorList, serviceTag, tagMap } from './common.ts'
import { message } from './kind.ts'

const backend = message({ weight: z.number().int().nonnegative().optional(), destination: tagMap.optional() })
const header = message({ name: z.string().optional(), value: z.string().optional() })
const headerFilter = message({
  set: z.array(header).optional(),
  add: z.array(header).optional(),
  remove: z.array(z.string()).optional(),
})

const filter = message({
  requestHeader: headerFilter.optional(),
  responseHeader: headerFilter.optional(),
  mirror: message({ percentage: z.number().optional(), backend: backend.optional() }).optional(),
  redirect: message({
    scheme: z.string().optional(),
    hostname: z.string().optional(),
    port: z.number().int().optional(),
    statusCode: z.number().int().optional(),
    path: message({ replaceFull: z.string().optional(), replacePrefixMatch: z.string().optional() }).optional(),
  }).optional(),
  rewrite: message({
    replaceFull: z.string().optional(),
    replacePrefixMatch: z.string().optional(),
    hostToBackendHostname: z.boolean().optional(),
  }).optional(),
})

const match = message({
  path: message({ match: protoEnum(['EXACT', 'PREFIX', 'REGEX']).optional(), value: z.string().optional() }).optional(),
  method: protoEnum([
    'NONE',
    'CONNECT',
    'DELETE',
    'GET',
    'HEAD',
    'OPTIONS',
    'PATCH',
    'POST',
    'PUT',
    'TRACE',
  ]).optional(),
  headers: z
    .array(
      message({
        match: protoEnum(['EXACT', 'REGEX', 'ABSENT', 'PRESENT']).optional(),
        name: z.string().optional(),
        value: z.string().optional(),
      }),
    )
    .optional(),
  queryParameters: z
    .array(
      message({
        match: protoEnum(['EXACT', 'REGEX']).optional(),
        name: z.string().optional(),
        value: z.string().optional(),
      }),
    )
    .optional(),
})

const rule = message({
  matches: z.array(match).optional(),
  filters: z.array(filter).optional(),
  backends: z.array(backend).optional(),
})

export const meshGatewayRouteSchema = message({
  selectors: selectorList.default([]),
  conf: message({
    http: message({ hostnames: z.array(z.string()).optional(), rules: z.array(rule).optional() }).optional(),
    tcp: message({ rules: z.array(message({ backends: z.array(backend).optional() })).optional() }).optional(),
  }).optional(),
})
export type MeshGatewayRouteSpec = z.infer<typeof meshGatewayRouteSchema>
export type RouteRule = z.infer<typeof rule>
export type RouteMatch = z.infer<typeof match>
export type RouteFilter = z.infer<typeof filter>
export type RouteBackend = z.infer<typeof backend>
export type RouteHeaderFilter = z.infer<typeof headerFilter>
export type RouteRedirect = NonNullable<RouteFilter['redirect']>

/** The service of a backend, or the empty text. Admission requires one, but rows of peers may have none. */
export const backendService = (target: RouteBackend): string => target.destination?.[serviceTag] ?? ''
