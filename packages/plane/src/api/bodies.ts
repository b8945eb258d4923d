import { fieldPath } from '@zonemesh/core/kinds/kind.ts'
import { wording } from '@zonemesh/core/kinds/wording.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { nestingMax, nestsDeeper } from '@zonemesh/shared/base/nesting.ts'
import type { FastifyInstance } from 'fastify'
import type { z } from 'zod'
import { ApiError, badRequest } from './errors.ts'
import { bodyBytesMax, bodyBytesUnderWayMax } from './limits.ts'

/**
 * Refuses compressed bodies, and limits the bytes of all bodies that are read at one time, before callers are
 * authenticated.
 */
export function boundBodies(app: FastifyInstance): void {
  let pendingBytes = 0
  app.addHook('onRequest', async ({ headers, raw }) => {
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity')
      throw new ApiError(415, 'Bad Request', `expected a body without Content-Encoding, found "${encoding}"`)
    const bytes = bytesOf(headers['content-length'], headers['transfer-encoding'])
    if (bytes === 0) return
    if (pendingBytes + bytes > bodyBytesUnderWayMax)
      throw new ApiError(
        503,
        'Service Unavailable',
        'too many request bodies are being read; try again in a second',
        [],
        { 'retry-after': '1' },
      )
    pendingBytes += bytes
    raw.once('close', () => {
      pendingBytes -= bytes
    })
  })
}

/** Parses a body as JSON. Throws an ApiError with the reason. */
export function parseBody(text: string): unknown {
  if (text === '') return undefined
  if (nestsDeeper(text, nestingMax)) throw badRequest(`the body nests deeper than ${nestingMax} levels`)
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw badRequest(`the body is not JSON: ${messageOf(thrown)}`)
  }
}

/** Reads a body of the plane's own requests. Throws an ApiError that names each wrong field. */
export function readBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const read = schema.safeParse(body, { error: wording })
  if (read.success) return read.data
  const issues = read.error.issues.map(({ path, message }) => `${fieldPath('', path) || 'the body'}: ${message}`)
  throw badRequest(issues.join('; '))
}

function bytesOf(length: string | undefined, encoding: string | undefined): number {
  if (encoding !== undefined) return bodyBytesMax
  return length === undefined ? 0 : Math.min(bodyBytesMax, Number(length) || 0)
}
