import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { clockJump, findFaketime, kill, pause, restoreOldStore } from '@zonemesh/cli/chaos/faults.ts'
import { createHand } from '@zonemesh/cli/chaos/hand.ts'
import { meshName } from '@zonemesh/cli/demo/scene.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, local, statusOf, throughGateway, until, untilBothCurrent, zonemesh } from '../e2e/rig.ts'
import { also, convergedMs, expectHeld, startVictim, type Victim } from './rig.ts'

// Faults of planes, on one demo.
let victim: Victim
beforeAll(async () => {
  victim = await startVictim(202)
})
afterAll(() => victim[Symbol.asyncDispose]())

test('row 10: a zone is killed at random moments under changes: it goes on where it was, and serves all the while', async () => {
  const random = createSeededRandom(10)
  const faults = Array.from({ length: 4 }, () => kill('zone-east', 100 + Math.floor(random.fraction() * 1_500)))
  await expectHeld(victim, faults)
})

test('row 15: the global stands still for 5 s: no zone drops its session, and 2 s later all is well', async () => {
  const fault = also(pause('global', 5_000), ({ recorder }, fromMs) =>
    ['east', 'west'].flatMap((zone) => {
      const before = recorder.zone(zone, 0, fromMs).findLast(({ answered }) => answered)?.epoch
      const now = recorder.newest(zone)?.epoch
      return before === now ? [] : [`zone ${zone} had session ${before} and has ${now}`]
    }),
  )
  const verdict = await expectHeld(victim, [fault])
  expect(Math.max(...convergedMs(verdict))).toBeLessThan(2_000)
})

test('row 18: an older copy of the store is restored: zones hold, nothing goes, and after a release all is well', async () => {
  await expectHeld(victim, [restoreOldStore()])
})

test('row 11: a zone, and then the global, have a wall clock that is an hour off: sessions are opened, nothing goes, no request fails', async () => {
  const library = findFaketime(undefined)
  if (library === undefined)
    throw new Error('this test needs libfaketime, found none: install it, e.g. with `apt-get install libfaketime`')
  const hourMs = 3_600_000
  await expectHeld(victim, [
    clockJump('zone-east', '+1h', hourMs, 5_000, library),
    clockJump('global', '-1h', -hourMs, 5_000, library),
  ])
})

test('row 35: a zone starts while the global is away: its resolver answers from its own store within a second of being ready', async () => {
  const { demo } = victim
  const { service } = demo.scene
  const ask = () => resolve(meshName(service), { host: local, port: demo.zones.east.dnsPort }, AbortSignal.timeout(500))
  const { addresses } = await ask()
  const startGlobal = await demo.processes.kill('global', 'SIGKILL')
  const startZone = await demo.processes.kill('zone-east', 'SIGKILL')
  const log = join(demo.folder, 'zone-east.log')
  const linesBefore = readFileSync(log, 'utf8').split('\n').length
  startZone()
  const answer = await until('an answer', ask, (one) => one.addresses.length > 0, 10_000)
  const answeredAtMs = Date.now()
  expect(answer.addresses).toEqual(addresses)
  const ready = await until(
    'the zone says that it is ready',
    () =>
      readFileSync(log, 'utf8')
        .split('\n')
        .slice(linesBefore - 1)
        .find((line) => line.includes('is ready')),
    (line) => line !== undefined,
  )
  // The line is one of our log.
  const { time } = JSON.parse(ready ?? '') as { readonly time: number }
  expect(answeredAtMs - time).toBeLessThan(1_000)
  startGlobal()
  await untilBothCurrent(demo.globalAddress)
})

test('row 39: a zone is disabled while it cannot hear the global: others leave it at once, it is told when it is back, and enabled it is whole again', async () => {
  const { demo, stack } = victim
  const hand = createHand(stack)
  const enable = (enabled: boolean) =>
    api(demo.globalAddress).need('PUT', '/zones/west', { type: 'Zone', name: 'west', enabled })
  const west = async () => {
    const { zones } = await statusOf(demo.globalAddress)
    return zones.find(({ zone }) => zone === 'west')
  }
  const before = (await west())?.epoch ?? 0
  await hand.hurt('west', { blackHole: ['up', 'down'] })
  await enable(false)
  // Its ingress is no way any more, whether or not it has heard of that.
  await until(
    'no request goes there',
    () => throughGateway(demo, '/'),
    ({ status }) => status === 503,
  )
  await hand.heal('west')
  await until(
    'the zone is told why',
    () => zonemesh('status', '--address', demo.zones.west.apiAddress),
    ({ stdout }) => /^uplink refused: .*the Zone "west" is disabled/m.test(stdout),
  )
  // What it has it goes on with: its own proxies lose nothing.
  const { proxies } = await statusOf(demo.zones.west.apiAddress)
  expect(proxies.map(({ state }) => state)).toEqual(proxies.map(() => 'connected'))
  expect(await west()).toMatchObject({ enabled: false, connected: false, epoch: before })

  await enable(true)
  await until('it is back', west, (zone) => zone?.current === true)
  // One session, not one after the other.
  expect((await west())?.epoch).toBe(before + 1)
  await until(
    'requests go there again',
    () => throughGateway(demo, '/'),
    ({ status }) => status === 200,
  )
})
