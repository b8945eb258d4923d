import type { Violation } from '@zonemesh/core/kinds/kind.ts'

/** A refusal on its way to a client: HTTP status and the error object of Kuma's API. */
export class ApiError extends Error {
  readonly status: number
  readonly title: string
  readonly violations: readonly Violation[]
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    title: string,
    detail: string,
    violations: readonly Violation[] = [],
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail)
    this.status = status
    this.title = title
    this.violations = violations
    this.headers = headers
  }
}

/** The body of an error answer. `details` and `causes` repeat for old clients what `detail` and `invalid_parameters` say. */
export function errorBody(error: ApiError): object {
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

export const notFound = (title: string): ApiError => new ApiError(404, title, 'Not found')
export const invalid = (title: string, violations: readonly Violation[]): ApiError =>
  new ApiError(400, title, 'Resource is not valid', violations)
export const badRequest = (detail: string, violations: readonly Violation[] = []): ApiError =>
  new ApiError(400, 'Bad Request', detail, violations)
/** Nothing was lost, and the same request may be sent again. */
export const unavailable = (): ApiError =>
  new ApiError(503, 'Service Unavailable', 'the store is not available; try again soon', [], { 'Retry-After': '1' })
