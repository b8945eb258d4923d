import { expect, test } from 'vitest'
import { assignment, cluster, listener, route, table } from './resources.ts'
import { freePort, probe, startEnvoy, startUpstream, startZone, until } from './rig.ts'

test('one Envoy gets a table and serves it', async () => {
  await using zone = await startZone()
  await using upstream = await startUpstream('a')
  await using envoy = await startEnvoy(zone)
  const port = await freePort()
  zone.table.set(
    table(1, {
      cluster: [cluster('A')],
      assignment: [assignment('A', [upstream.port])],
      route: [route('r', 'A')],
      listener: [listener('L', port, { routes: 'r' })],
    }),
  )
  await until('the listener serves', async () => (await probe(port)) === 'a')
  await until('the mark is served', () => zone.served.includes(1))
  expect(envoy.log.filter((line) => line.includes('[warning]') || line.includes('[error]'))).toEqual([])
})
