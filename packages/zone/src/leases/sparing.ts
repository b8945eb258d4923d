/**
 * Asks another source whether a proxy whose lease has expired is connected to another replica, which may not have
 * published that yet. The source may be wrong for ever, so a proxy is spared once, and removed after another lease.
 * Returns a function that resolves with the replica, or with undefined if the proxy may be removed.
 */
export function createSparing(replicaOf: (proxy: string) => Promise<string | undefined>) {
  const spared = new Set<string>()
  return async (proxy: string): Promise<string | undefined> => {
    if (spared.delete(proxy)) return undefined
    const replica = await replicaOf(proxy)
    if (replica !== undefined) spared.add(proxy)
    return replica
  }
}
