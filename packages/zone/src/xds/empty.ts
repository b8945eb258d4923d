import type { XdsResource } from '@zonemesh/core/emit/table.ts'

/**
 * An assignment without endpoints, a route table without hosts, or a runtime layer without keys: the name is the first
 * field of all three. It is sent for an absent name if a removal would do harm. A removal would leave a new listener
 * warming for ever, or empty a changing cluster.
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

/** Whether a resource is empty. Empty resources need no proof, because every proxy accepts them. */
export const isEmptyVersion = (version: string): boolean => version === 'empty'
