import type { Violation } from '@zonemesh/core/kinds/kind.ts'
import { z } from 'zod'
import { violation } from './answers.ts'
import type { Problem, TitleOf } from './problems.ts'

/** The arguments of an `ApiError`: a status, and a title that occurs with it. */
type Refusal<Status extends Problem['status'] = Problem['status']> = Status extends Problem['status']
  ? [
      status: Status,
      title: TitleOf<Status>,
      detail: string,
      violations?: readonly Violation[],
      headers?: Readonly<Record<string, string>>,
    ]
  : never

/** A refusal that the API returns: the HTTP status and the error object of Kuma's API. */
export class ApiError extends Error {
  readonly status: Problem['status']
  readonly title: Problem['title']
  readonly violations: readonly Violation[]
  readonly headers: Readonly<Record<string, string>>

  constructor(...[status, title, detail, violations = [], headers = {}]: Refusal) {
    super(detail)
    this.status = status
    this.title = title
    this.violations = violations
    this.headers = headers
  }
}

/** The body of an error response. `details` and `causes` repeat `detail` and `invalid_parameters` for old clients. */
export const errorAnswer = z.object({
  type: z.literal('/std-errors'),
  status: z.number(),
  title: z.string(),
  detail: z.string(),
  invalid_parameters: z.array(violation).exactOptional(),
  details: z.string(),
  causes: z.array(z.object({ field: z.string(), message: z.string() })).exactOptional(),
})

export function errorBody(error: ApiError): z.infer<typeof errorAnswer> {
  const { violations } = error
  return {
    type: '/std-errors',
    status: error.status,
    title: error.title,
    detail: error.message,
    ...(violations.length > 0
      ? {
          invalid_parameters: violations.map(({ field, reason, choices }) => ({
            field,
            reason,
            ...(choices?.length ? { choices } : {}),
          })),
        }
      : {}),
    details: error.message,
    ...(violations.length > 0 ? { causes: violations.map(({ field, reason }) => ({ field, message: reason })) } : {}),
  }
}

export const notFound = (title: TitleOf<404>, detail = 'Not found'): ApiError => new ApiError(404, title, detail)
export const invalid = (title: TitleOf<400>, violations: readonly Violation[]): ApiError =>
  new ApiError(400, title, 'Resource is not valid', violations)
export const badRequest = (detail: string, violations: readonly Violation[] = []): ApiError =>
  new ApiError(400, 'Bad Request', detail, violations)
/** Nothing was written, and the caller may send the same request again. */
export const unavailable = (): ApiError =>
  new ApiError(503, 'Service Unavailable', 'the store is not available; try again in a second', [], {
    'Retry-After': '1',
  })
