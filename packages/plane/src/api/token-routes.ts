import { spanExpected, spanMs } from '@zonemesh/core/kinds/common.ts'
import { wording } from '@zonemesh/core/kinds/wording.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import type { Purpose } from '../tokens/tokens.ts'
import { ApiError, invalid } from './errors.ts'
import { requireAdmin } from './identity.ts'
import type { ApiPlane } from './plane.ts'
import { refusal } from './queries.ts'
import type { About, Answer, Call, Router } from './route.ts'
import { schemaShape } from './shape.ts'

const title = 'Could not issue a token'
const tenYears = '10y'

const dataplaneRequest = z.object({
  name: z.string().default(''),
  mesh: z.string().min(1, 'cannot be empty'),
  tags: z.record(z.string(), z.array(z.string())).nullish(),
  type: z.enum(['dataplane', 'ingress', 'egress', '']).default(''),
  workload: z.string().default(''),
  validFor: z.string().default(''),
})
const zoneRequest = z.object({
  zone: z.string().default(''),
  scope: z.array(z.enum(['cp', 'ingress', 'egress'])),
  /** The token opens sessions only while the limits of the Zone are within these. */
  limits: z
    .strictObject({ meshes: z.array(z.string()).optional(), services: z.array(z.string()).optional() })
    .optional(),
  validFor: z.string().default(''),
})
const userRequest = z.object({
  name: z.string().min(1, 'cannot be empty'),
  groups: z.array(z.string()).nullish(),
  validFor: z.string().min(1, 'cannot be empty'),
})

function parse<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const result = schema.safeParse(body ?? {}, { error: wording })
  if (result.success) return result.data
  throw invalid(
    title,
    result.error.issues.map(({ path, message }) => ({ field: path.join('.'), reason: message })),
  )
}

function validForMs(text: string): number {
  const value = spanMs(text === '' ? tenYears : text)
  if (value) return value
  throw invalid(title, [{ field: 'validFor', reason: `${spanExpected}, found "${text}"` }])
}

async function issue(
  plane: ApiPlane,
  purpose: Purpose,
  mesh: string,
  claims: JsonObject,
  validFor: string,
): Promise<Answer> {
  const token = await plane.tokens.issue(purpose, mesh, claims, validForMs(validFor))
  if (token !== undefined) return { status: 200, body: undefined, text: token }
  throw new ApiError(
    400,
    title,
    `this control plane has no ${purpose} token signing key: request the token from the API of the global control plane (${plane.globalApi})`,
  )
}

type DataplaneRequest = z.infer<typeof dataplaneRequest>

/** The global signs the tokens of its zones. A zone asks it over its session. */
async function issueForProxy(plane: ApiPlane, request: DataplaneRequest, call: Call): Promise<Answer> {
  const { name, mesh, tags, type, workload, validFor } = request
  if (!plane.askGlobal) {
    const claims = { Name: name, Mesh: mesh, Tags: tags ?? {}, Type: type, Workload: workload }
    return issue(plane, 'dataplane', mesh, claims, validFor)
  }
  const question = { mesh, name, tags: tags ?? {}, workload, validForMs: validForMs(validFor) }
  const answer = await plane.askGlobal('dataplane-token', question, call.untilClosed())
  if (answer.ok) return { status: 200, body: undefined, text: String(answer.value['token']) }
  const { code, reason } = answer.error
  if (code === 'refused') throw new ApiError(400, title, `the global control plane refuses the token: ${reason}`)
  // The caller reaches this zone under the host of its request.
  const { protocol, host } = call.request
  throw refusal(
    code,
    `the global control plane signs the tokens of this zone, and it could not be asked: ${reason}. If you reach its API, run \`zonemesh token dataplane --join --zone-address ${protocol}://${host} --address URL\`, where URL is that API (${plane.globalApi})`,
  )
}

const admin = ({ user }: Call, what: string): void => requireAdmin(user, `generate ${what} token`)

async function dataplaneToken(plane: ApiPlane, call: Call): Promise<Answer> {
  admin(call, 'dataplane')
  return issueForProxy(plane, parse(dataplaneRequest, call.body), call)
}

async function zoneToken(plane: ApiPlane, call: Call): Promise<Answer> {
  admin(call, 'zone')
  const { zone, scope, limits, validFor } = parse(zoneRequest, call.body)
  // The limits consist of lists of strings, which are JSON values.
  const claims = { Zone: zone, Scope: scope, ...(limits ? { Limits: limits as JsonObject } : {}) }
  return issue(plane, 'zone', '', claims, validFor)
}

async function userToken(plane: ApiPlane, call: Call): Promise<Answer> {
  admin(call, 'user')
  const { name, groups, validFor } = parse(userRequest, call.body)
  return issue(plane, 'user', '', { Name: name, Groups: groups ?? [] }, validFor)
}

/** Registers `POST /tokens/{dataplane,zone,user}`, which answers 200 with the bare token. */
export function registerTokens(route: Router): void {
  const about = (what: string, schema: z.ZodType): About => ({
    group: 'Tokens',
    summary: `Issues a token ${what}`,
    access: 'administrators',
    body: schemaShape(schema),
    answers: { 200: { what: 'the token', shape: { type: 'text' } } },
  })
  route('POST', '/tokens/dataplane', dataplaneToken, about('with which proxies register', dataplaneRequest))
  route('POST', '/tokens/zone', zoneToken, about('with which a zone, its ingress or its egress connects', zoneRequest))
  route('POST', '/tokens/user', userToken, about('that identifies a caller of this API', userRequest))
}
