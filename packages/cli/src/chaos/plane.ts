import type { JsonObject } from '@zonemesh/shared/base/base.ts'

export interface Answer {
  readonly status: number
  readonly body: JsonObject
  /** The time of the plane's own clock. */
  readonly dateMs: number
  readonly headers: Headers
}

/** A client for a plane that may be paused, dead or unreachable, so all timeouts are short. */
export function createPlane(address: string, token: string, limitMs = 1_500) {
  const authorization = { authorization: `Bearer ${token}` }
  return {
    address,
    async ask(method: string, path: string, body?: unknown, mostMs = limitMs): Promise<Answer> {
      const reply = await fetch(address + path, {
        method,
        headers: { ...authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(mostMs),
      })
      const text = await reply.text()
      const { headers, status } = reply
      return { status, body: objectOf(text), dateMs: Date.parse(headers.get('date') ?? ''), headers }
    },
  }
}
export type Plane = ReturnType<typeof createPlane>

function objectOf(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    // An object that was parsed from JSON is a JsonObject.
    return value !== null && typeof value === 'object' ? (value as JsonObject) : {}
  } catch {
    return {}
  }
}
