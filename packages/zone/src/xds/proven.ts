/**
 * Versions that any proxy of the zone has accepted. Limit: `max`. The oldest is forgotten, which only costs messages.
 */
export interface Proven {
  has(version: string): boolean
  add(versions: readonly string[]): void
}

export function createProven(max = 200_000): Proven {
  const versions = new Set<string>()
  return {
    has: (version) => versions.has(version),
    add(accepted) {
      for (const version of accepted) versions.add(version)
      for (const oldest of versions) {
        if (versions.size <= max) break
        versions.delete(oldest)
      }
    },
  }
}
