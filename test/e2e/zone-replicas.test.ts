import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PostgresServer, startPostgres } from '../contract/postgres-server.ts'
import {
  addressesAt,
  type Replica,
  type ReplicaScene,
  startReplicaScene,
  type ZoneReplica,
  zoneStatusOf,
} from './replica-scene.ts'
import { api, startTraffic, statusOf, until, zonemesh } from './rig.ts'

let server: PostgresServer
let scene: ReplicaScene
beforeAll(async () => {
  server = await startPostgres({ durable: true })
  scene = await startReplicaScene({ server, globals: 1 })
}, 120_000)
afterAll(async () => {
  await scene[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

const globalAddress = () => scene.globals[0]?.address ?? ''

/** The replica that leads, as it shows itself, and the other one. */
async function leaderAndOther(): Promise<readonly [ZoneReplica, ZoneReplica]> {
  const [first, second] = scene.zones
  const found = await until(
    'one of the replicas leads',
    () => Promise.all([first, second].map(zoneStatusOf)),
    (both) => both.filter(({ replicas: [own] }) => own?.leads).length === 1,
  )
  return found[0]?.replicas[0]?.leads ? [first, second] : [second, first]
}

test('ZR4 ZR7 ZR13 one replica has the session with the global, and each of them shows it, all proxies and the same names', async () => {
  const [leader, other] = await leaderAndOther()
  for (const one of [leader, other]) {
    const shown = await until(
      `${one.name} shows both proxies`,
      () => zoneStatusOf(one),
      ({ proxies, uplink }) => uplink.current && proxies.filter(({ state }) => state === 'connected').length === 2,
    )
    expect(shown.uplink).toMatchObject({ phase: 'connected' })
    expect(shown.replicas).toHaveLength(2)
    const overview = await api(one.address).need('GET', '/meshes/default/dataplanes+insights')
    expect(JSON.stringify(overview.json).match(/"connectTime"/g)).toHaveLength(2)
  }
  for (const { address } of [leader, other]) {
    const sight = (await api(address).need('GET', '/_sight')).json
    expect(sight).toMatchObject({
      proxies: { 'east/Dataplane/default/echo-1': {}, 'east/Dataplane/default/edge-1': {} },
    })
    for (const proxy of ['echo-1', 'edge-1'])
      expect((await api(address).call('GET', `/meshes/default/dataplanes/${proxy}/_config`)).status).toBe(200)
    const join = await api(address).call('POST', '/tokens/dataplane', { mesh: 'default', name: 'later' })
    expect(join.status).toBe(200)
  }
  expect(await addressesAt(leader)).toEqual(await addressesAt(other))
  const [zone] = (await statusOf(globalAddress())).zones
  expect(zone).toMatchObject({ connected: true, current: true, proxies: { connected: 2, total: 2 } })
})

test('ZR7 receipts of the global and of each replica wait for the proxies of all replicas', async () => {
  const file = scene.folder.file(
    'timeout.yaml',
    'type: Timeout\nmesh: default\nname: t\nsources: [{ match: { kuma.io/service: "*" } }]\ndestinations: [{ match: { kuma.io/service: "*" } }]\nconf: { connectTimeout: 7s }\n',
  )
  expect(await zonemesh('apply', '-f', file, '--address', globalAddress(), '--wait', 'served@all')).toMatchObject({
    code: 0,
  })
  for (const { name, address } of scene.zones) {
    const networking = '{ address: 192.0.2.1, inbound: [{ port: 1, tags: { kuma.io/service: echo_demo_svc_8080 } }] }'
    const yaml = `type: Dataplane\nmesh: default\nname: of-${name}\nnetworking: ${networking}\n`
    const sets = ['-f', scene.folder.file(`of-${name}.yaml`, yaml), '--address', address]
    expect(await zonemesh('apply', ...sets, '--wait', 'served@all')).toMatchObject({ code: 0 })
    expect(await zonemesh('delete', 'dataplane', `of-${name}`, '--address', address)).toMatchObject({ code: 0 })
  }
})

/** How often the Envoy of a proxy has changed a listener or a cluster. */
async function changesOf(proxy: string, asked: readonly Replica[]): Promise<readonly string[]> {
  const answers = await Promise.all(
    asked.map(({ address }) => api(address).call('GET', `/meshes/default/dataplanes/${proxy}/stats`)),
  )
  const text = answers.map(({ text: body }) => body).find((body) => body.includes('listener_manager.')) ?? ''
  return text.match(/^(listener_manager.listener_|cluster_manager.cluster_)(added|modified|removed): \d+$/gm) ?? []
}

test.each(['the leader', 'the other replica'])(
  'ZR4 ZR5 %s is killed: the other one has the session and all proxies and names within 3 s, and no request fails',
  async (which) => {
    const [leader, other] = await leaderAndOther()
    const [killed, left] = which === 'the leader' ? [leader, other] : [other, leader]
    const before = await addressesAt(left)
    const changes = await changesOf('edge-1', scene.zones)
    expect(changes.length).toBeGreaterThan(1)
    await using traffic = startTraffic(scene.ask, 2)
    await traffic.more(50)
    const startAgain = await scene.processes.kill(killed.name, 'SIGKILL')
    const sinceMs = performance.now()
    const shown = await until(
      'the other replica has everything',
      () => zoneStatusOf(left),
      ({ uplink, proxies, replicas: [own] }) =>
        own?.leads === true &&
        uplink.phase === 'connected' &&
        proxies.filter(({ state }) => state === 'connected').length === 2,
    )
    const tookMs = performance.now() - sinceMs
    console.info(`${which} was killed: ${Math.round(tookMs)} ms`)
    expect(shown.proxies).toHaveLength(2)
    expect(await addressesAt(left)).toEqual(before)
    await until(
      'the global shows the zone as current',
      () => statusOf(globalAddress()),
      ({ zones: [zone] }) => zone?.connected === true && zone.current && zone.proxies.connected === 2,
    )
    await traffic.more(200)
    expect((await traffic.stop()).failures).toEqual([])
    expect(await changesOf('edge-1', [left])).toEqual(changes)
    startAgain()
    await until(
      'the killed replica is back',
      () => zoneStatusOf(killed),
      (status) => status.replicas.length === 2,
    )
    expect(await addressesAt(killed)).toEqual(before)
  },
  60_000,
)
