import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { isJsonObject, type JsonObject } from '../base/base.ts'
import { nestingMax, nestsDeeper } from '../base/nesting.ts'

/** How the JSON of an answer is packed into bytes. */
export interface Packing {
  pack(bytes: Uint8Array): Promise<Uint8Array>
  /** Throws if the bytes are not packed, or if their content is too large. */
  unpack(bytes: Uint8Array): Promise<Uint8Array>
}

/** The largest content of an answer: what 4 MiB of a usual configuration unpack to, and no more. */
const contentBytesMax = 64 * 1024 * 1024
const deflated = promisify(gzip)
const inflated = promisify(gunzip)

/** gzip, off the event loop. */
export const gzipPacking: Packing = {
  pack: (bytes) => deflated(bytes, { level: 1 }),
  unpack: (bytes) => inflated(bytes, { maxOutputLength: contentBytesMax }),
}

const textBytes = new TextEncoder()
const bytesText = new TextDecoder('utf-8', { fatal: true })

export const jsonBytes = (value: JsonObject): Uint8Array => textBytes.encode(JSON.stringify(value))

/** A JSON object of a peer. Throws if the bytes are something else, or nest too deeply. */
export function jsonFrom(bytes: Uint8Array): JsonObject {
  const text = bytesText.decode(bytes)
  if (nestsDeeper(text, nestingMax)) throw new Error(`the content nests deeper than ${nestingMax} levels`)
  const value: unknown = JSON.parse(text)
  if (!isJsonObject(value)) throw new Error('expected a JSON object')
  return value
}
