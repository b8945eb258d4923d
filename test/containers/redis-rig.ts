import { GenericContainer, type StartedNetwork } from 'testcontainers'
import { until } from '../e2e/rig.ts'
import { type Container, startContainer } from './container.ts'

const port = 6379
const sentinelPort = 26379
const ready = 'redis-cli ping | grep -q PONG'

/** Nothing is kept on the disk, and a replica has its first copy at once: it cannot take over without one. */
const settingsOfTests = ['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0']

const startServer = (network: StartedNetwork, ...words: readonly string[]): Promise<Container> =>
  startContainer(
    new GenericContainer('redis:7').withCommand(['redis-server', ...settingsOfTests, ...words]),
    port,
    network,
    ready,
  )

const untilFollows = (replica: Container, limitMs = 30_000) =>
  until(
    'a replica has a copy of its primary',
    () => replica.run('redis-cli', 'info', 'replication'),
    (text) => text.includes('role:slave') && text.includes('master_link_status:up'),
    limitMs,
  )

/** Starts a Redis server in a container. */
export async function startRedis(network: StartedNetwork): Promise<Container & { readonly url: string }> {
  const container = await startServer(network)
  return { ...container, url: `redis://${container.relay.host}:${container.relay.port}` }
}

const textOf = (containers: readonly Container[]): string =>
  containers.map(({ relay }) => `${relay.host}:${relay.port}`).join(',')

export interface SentinelledRedis extends AsyncDisposable {
  readonly url: string
  readonly primary: Container
  readonly replica: Container
  /** Waits until the former primary is a replica. */
  primaryFollows(): Promise<unknown>
  /** The address that the sentinels report as the one of the primary. */
  reported(): Promise<string>
}

/** A primary and its replica, which three sentinels watch. They replace a primary that is silent for 1 s. */
export async function startSentinelledRedis(network: StartedNetwork): Promise<SentinelledRedis> {
  await using parts = new AsyncDisposableStack()
  const primary = parts.use(await startServer(network))
  const { host } = await primary.place()
  const replica = parts.use(await startServer(network, '--replicaof', host, `${port}`))
  await untilFollows(replica)
  const settings = [
    `sentinel monitor main ${host} ${port} 2`,
    'sentinel down-after-milliseconds main 1000',
    'sentinel failover-timeout main 6000',
  ]
  // A sentinel writes what it learns into its file.
  const script = `printf '%s\\n' "$@" >/tmp/sentinel.conf && exec redis-server /tmp/sentinel.conf --sentinel`
  const startSentinel = () =>
    startContainer(
      new GenericContainer('redis:7').withEntrypoint(['sh', '-c', script, 'sh']).withCommand(settings),
      sentinelPort,
      network,
      `redis-cli -p ${sentinelPort} ping | grep -q PONG`,
    )
  const sentinels = await Promise.all([startSentinel(), startSentinel(), startSentinel()])
  for (const one of sentinels) parts.use(one)
  const ask = (one: Container, ...words: readonly string[]) =>
    one.run('redis-cli', '-p', `${sentinelPort}`, 'sentinel', ...words)
  await until(
    'all sentinels know the replica and each other',
    () => Promise.all(sentinels.map((one) => ask(one, 'master', 'main'))),
    (answers) => answers.every((text) => /num-slaves\s+1\s+num-other-sentinels\s+2\s/.test(text)),
    30_000,
  )
  const all = parts.move()
  return {
    url: `redis-sentinel://${textOf(sentinels)}/main`,
    ...{ primary, replica },
    primaryFollows: () => untilFollows(primary, 40_000),
    async reported() {
      const [first] = sentinels
      return first ? ((await ask(first, 'get-master-addr-by-name', 'main')).split('\n')[0] ?? '').trim() : ''
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

export interface RedisCluster extends AsyncDisposable {
  readonly url: string
  /** The primary of the slot of this key. */
  primaryOf(key: string): Promise<Container>
  readonly nodes: readonly Container[]
}

/** Three primaries with a replica each. A replica takes over from a primary that is silent for 2 s. */
export async function startRedisCluster(network: StartedNetwork): Promise<RedisCluster> {
  await using parts = new AsyncDisposableStack()
  const settings = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']
  const nodes = await Promise.all(Array.from({ length: 6 }, () => startServer(network, ...settings)))
  for (const one of nodes) parts.use(one)
  const [first] = nodes
  if (!first) throw new Error('a cluster has nodes')
  const hosts = await Promise.all(nodes.map(async (one) => (await one.place()).host))
  const addresses = hosts.map((host) => `${host}:${port}`)
  await first.run('redis-cli', '--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes')
  await until(
    'every node knows the cluster, and each primary has its replica',
    () => Promise.all(nodes.map((one) => one.run('redis-cli', 'cluster', 'nodes'))),
    (answers) =>
      answers.every((text) => text.match(/\bslave .* connected$/gm)?.length === 3 && !/fail|handshake/.test(text)),
    30_000,
  )
  for (const one of nodes) if ((await one.run('redis-cli', 'role')).startsWith('slave')) await untilFollows(one)
  const all = parts.move()
  return {
    url: `redis-cluster://${textOf(nodes)}`,
    nodes,
    async primaryOf(key) {
      const slot = Number(await first.run('redis-cli', 'cluster', 'keyslot', key))
      const known = await first.run('redis-cli', 'cluster', 'nodes')
      const line = known.split('\n').find((one) => /\bmaster /.test(one) && ownsSlot(one, slot))
      const node = nodes[hosts.findIndex((host) => line?.includes(` ${host}:${port}@`))]
      if (!node) throw new Error(`no node has slot ${slot}:\n${known}`)
      return node
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Whether a line of CLUSTER NODES has this slot in one of its ranges, which are at its end. */
const ownsSlot = (line: string, slot: number): boolean =>
  line
    .split(' ')
    .slice(8)
    .some((range) => {
      const [from = Number.NaN, to = from] = range.split('-').map(Number)
      return slot >= from && slot <= to
    })
