import type { XdsResource } from '@zonemesh/core/emit/table.ts'

/**
 * An assignment without endpoints, a route table without hosts, or a runtime layer without keys: the name is the first
 * field of all three. It answers a name that does not exist where a removal would do harm: it leaves a new listener
 * warming for ever, and empties a cluster that is changing.
 */
export function emptyResource(name: string): XdsResource {
  const text = new TextEncoder().encode(name)
  const length: number[] = []
  for (let rest = text.length; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  return { name, bytes: Uint8Array.from([0x0a, ...length, ...text]), version: 'empty' }
}

/** Empty resources mean the same everywhere and need no proof. */
export const isEmptyVersion = (version: string): boolean => version === 'empty'
