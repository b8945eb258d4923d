import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'
import { ApiError } from './errors.ts'
import type { ApiPlane } from './plane.ts'

/** The refusal of a request whose question has no answer. */
export function refusal(code: QueryFailure['code'], detail: string): ApiError {
  switch (code) {
    case 'unknown':
    case 'unsupported':
      return new ApiError(501, 'Not Implemented', detail)
    case 'refused':
      return new ApiError(400, 'Bad Request', detail)
    case 'busy':
    case 'ended':
    case 'cancelled':
      return new ApiError(503, 'Service Unavailable', detail)
    case 'late':
      return new ApiError(504, 'Gateway Timeout', detail)
    case 'too-large':
    case 'failed':
      return new ApiError(502, 'Bad Gateway', detail)
  }
}

/** The answer of a zone. Refuses with the reason why there is none. */
export async function askZone(
  plane: ApiPlane,
  zone: string,
  name: string,
  request: JsonObject,
  signal: AbortSignal,
): Promise<JsonObject> {
  const answer = await plane.askZone(zone, name, request, signal)
  if (answer.ok) return answer.value
  const { code, reason } = answer.error
  throw refusal(code, `zone "${zone}" gave no answer: ${reason}`)
}
