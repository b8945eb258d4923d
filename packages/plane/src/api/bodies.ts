import { messageOf } from '@zonemesh/shared/base/base.ts'
import { nestingMax, nestsDeeper } from '@zonemesh/shared/base/nesting.ts'
import type { FastifyInstance } from 'fastify'
import { ApiError, badRequest } from './errors.ts'
import { bodyBytesMax, bodyBytesUnderWayMax } from './limits.ts'

/** Refuses bodies that would be unpacked, and bounds those that are read at one time: this is before anybody is authenticated. */
export function boundBodies(app: FastifyInstance): void {
  let underWay = 0
  app.addHook('onRequest', async ({ headers, raw }) => {
    const encoding = headers['content-encoding']
    if (encoding !== undefined && encoding !== 'identity')
      throw new ApiError(415, 'Bad Request', `expected a body without Content-Encoding, found "${encoding}"`)
    const bytes = bytesOf(headers['content-length'], headers['transfer-encoding'])
    if (bytes === 0) return
    if (underWay + bytes > bodyBytesUnderWayMax)
      throw new ApiError(503, 'Service Unavailable', 'too many requests are being read', [], { 'retry-after': '1' })
    underWay += bytes
    raw.once('close', () => {
      underWay -= bytes
    })
  })
}

/** Reads a body as JSON. Throws what the client is to be told. */
export function parseBody(text: string): unknown {
  if (text === '') return undefined
  if (nestsDeeper(text, nestingMax)) throw badRequest(`the body nests deeper than ${nestingMax} levels`)
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw badRequest(`the body is not JSON: ${messageOf(thrown)}`)
  }
}

function bytesOf(length: string | undefined, encoding: string | undefined): number {
  if (encoding !== undefined) return bodyBytesMax
  return length === undefined ? 0 : Math.min(bodyBytesMax, Number(length) || 0)
}
