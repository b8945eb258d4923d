import type { PostgresServer } from '../../contract/postgres-server.ts'
import { type ReplicaScene, type ZoneReplica, zoneStatusOf } from '../../e2e/replica-scene.ts'
import { startTraffic, statusOf, until } from '../../e2e/rig.ts'
import type { Figure } from '../figures.ts'

/** How long each fault takes until all is current again, and how many requests fail meanwhile. */
export async function measureFaults(
  scene: ReplicaScene,
  server: PostgresServer,
  times: number,
): Promise<readonly Figure[]> {
  const ms: Record<'global' | 'zone' | 'database', number[]> = { global: [], zone: [], database: [] }
  await using traffic = startTraffic(scene.ask, 1)
  for (let time = 0; time < times; time += 1) {
    ms.global.push(await killGlobal(scene))
    ms.zone.push(await killZone(scene))
    ms.database.push(await stopDatabase(scene, server))
  }
  const { failures } = await traffic.stop()
  return [
    {
      name: 'global with the session killed → zone current at the other one',
      unit: 'ms',
      samples: ms.global,
      target: { max: 3_000 },
    },
    {
      name: 'leader of a zone killed → proxies and session at the other one',
      unit: 'ms',
      samples: ms.zone,
      target: { max: 3_000 },
    },
    { name: 'database answers again → all current', unit: 'ms', samples: ms.database, target: { max: 5_000 } },
    { name: 'requests that failed meanwhile', unit: 'count', samples: [failures.length], target: { max: 0 } },
  ]
}

const isCurrentAt = (address: string) => async (): Promise<boolean> => {
  const [zone] = (await statusOf(address)).zones
  return zone?.connected === true && zone.current && zone.proxies.connected === 2
}
const isTrue = (answer: boolean): boolean => answer

async function killGlobal({ globals, processes }: ReplicaScene): Promise<number> {
  // The zone dials the first one first, so the first one has the session until it is killed.
  const [killed, left] = globals
  if (!killed || !left) throw new Error('two globals run')
  const startAgain = await processes.kill(killed.name, 'SIGKILL')
  const startMs = performance.now()
  await until('the other global writes', () => write(left.address), isTrue)
  await until('the zone is current', isCurrentAt(left.address), isTrue)
  const tookMs = performance.now() - startMs
  startAgain()
  await until('the killed global answers', isCurrentAt(killed.address), isTrue)
  return tookMs
}

/** A change after the fault: only a zone that has it is current. */
async function write(address: string): Promise<boolean> {
  const name = `after-${Math.round(performance.now())}`
  const answer = await fetch(`${address}/meshes/${name}`, {
    ...{ method: 'PUT', headers: { 'content-type': 'application/json' } },
    body: JSON.stringify({ type: 'Mesh', name }),
  }).catch(() => undefined)
  return answer?.status === 201
}

async function killZone({ zones, processes }: ReplicaScene): Promise<number> {
  const leads = async (one: ZoneReplica) => (await zoneStatusOf(one)).replicas[0]?.leads === true
  const [first, second] = zones
  const [killed, left] = (await leads(first)) ? [first, second] : [second, first]
  const startAgain = await processes.kill(killed.name, 'SIGKILL')
  const startMs = performance.now()
  await until(
    'the other replica has everything',
    () => zoneStatusOf(left),
    ({ uplink, proxies, replicas: [own] }) =>
      own?.leads === true && uplink.current && proxies.filter(({ state }) => state === 'connected').length === 2,
  )
  const tookMs = performance.now() - startMs
  startAgain()
  await until(
    'the killed replica is back',
    () => zoneStatusOf(killed),
    ({ replicas }) => replicas.length === 2,
  )
  return tookMs
}

async function stopDatabase({ globals: [one] }: ReplicaScene, server: PostgresServer): Promise<number> {
  if (!one) throw new Error('a global runs')
  await server.crash()
  await until(
    'writes fail',
    () => write(one.address),
    (written) => !written,
  )
  await server.start()
  const startMs = performance.now()
  await until('the global writes', () => write(one.address), isTrue)
  await until('the zone is current', isCurrentAt(one.address), isTrue)
  return performance.now() - startMs
}
