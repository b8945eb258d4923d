import type { Cluster, Redis } from 'ioredis'

/** The entries of a process that has ended, or that cannot reach Redis, expire after this time. */
const expireMs = 6_000
/** Members in one command. */
const membersMax = 1_000

/** The peers that are connected to each process, in a set for each process that expires. */
export function createPeerKeys(redis: Redis | Cluster, store: string, instance: string) {
  // Keys with the same word in braces are on the same node of a cluster.
  const keyOf = (of: string): string => `zonemesh:{${store}}:peers:${of}`
  const key = keyOf(instance)
  let peers: ReadonlySet<string> = new Set()
  /** What Redis has; undefined if that is unknown. */
  let published: ReadonlySet<string> | undefined
  let publishing: Promise<void> = Promise.resolve()

  async function publishNow(): Promise<void> {
    const next = peers
    const known = published
    const isThere = known !== undefined && known.size > 0 && (await redis.pexpire(key, expireMs)) === 1
    // Also without peers: a server that refuses writes is found at once.
    if (!isThere) await redis.del(key)
    const before = isThere ? known : new Set<string>()
    const removed = inParts([...before].filter((peer) => !next.has(peer)))
    for (const part of removed) await redis.srem(key, ...part)
    const added = inParts([...next].filter((peer) => !before.has(peer)))
    for (const part of added) await redis.sadd(key, ...part)
    if (next.size > 0) await redis.pexpire(key, expireMs)
    published = next
  }

  return {
    set(next: Iterable<string>): void {
      peers = new Set(next)
    },
    /** Renews what is published, or publishes everything again if Redis has lost it. One call runs at a time. */
    publish(): Promise<void> {
      publishing = publishing.then(publishNow, publishNow)
      return publishing
    },
    /** It is unknown what Redis has. */
    forget(): void {
      published = undefined
    },
    /** The peers of these processes, with their process. */
    async read(instances: readonly string[]): Promise<ReadonlyMap<string, string>> {
      const found = await Promise.all(
        instances.map(async (of) => (await redis.smembers(keyOf(of))).map((peer) => [peer, of] as const)),
      )
      return new Map(found.flat())
    },
    remove: (): Promise<number> => redis.del(key),
  }
}

const inParts = (members: readonly string[]): readonly (readonly string[])[] =>
  Array.from({ length: Math.ceil(members.length / membersMax) }, (_, at) =>
    members.slice(at * membersMax, (at + 1) * membersMax),
  )
