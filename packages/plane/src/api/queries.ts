import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'
import { ApiError } from './errors.ts'
import type { ApiPlane } from './plane.ts'

const statusOf: Readonly<Record<QueryFailure['code'], readonly [number, string]>> = {
  unknown: [501, 'Not Implemented'],
  unsupported: [501, 'Not Implemented'],
  refused: [400, 'Bad Request'],
  busy: [503, 'Service Unavailable'],
  ended: [503, 'Service Unavailable'],
  cancelled: [503, 'Service Unavailable'],
  late: [504, 'Gateway Timeout'],
  'too-large': [502, 'Bad Gateway'],
  failed: [502, 'Bad Gateway'],
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
  const [status, title] = statusOf[code]
  throw new ApiError(status, title, `zone "${zone}" gave no answer: ${reason}`)
}
