import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { clockJump, findFaketime, kill, pause, restoreOldStore } from '@zonemesh/cli/chaos/faults/faults.ts'
import { createInjector } from '@zonemesh/cli/chaos/injector.ts'
import { meshName } from '@zonemesh/cli/demo/names.ts'
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

test('F10 a zone is killed at random moments under changes: it continues at its position, and its proxies serve throughout', async () => {
  const random = createSeededRandom(10)
  const faults = Array.from({ length: 4 }, () => kill('zone-east', 100 + Math.floor(random.fraction() * 1_500)))
  await expectHeld(victim, faults)
})

test('F15 the global stops for 5 s: no zone drops its session, and all is current 2 s later', async () => {
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

test('F18 an older copy of the store is restored: zones hold, nothing is deleted, and after a release all is current', async () => {
  await expectHeld(victim, [restoreOldStore()])
})

test('F11 the wall clock of a zone and then of the global is an hour off: sessions open, nothing is deleted, no request fails', async () => {
  const library = findFaketime(undefined)
  if (library === undefined)
    throw new Error('this test needs libfaketime, found none: install it, e.g. with `apt-get install libfaketime`')
  const hourMs = 3_600_000
  await expectHeld(victim, [
    clockJump('zone-east', '+1h', hourMs, 5_000, library),
    clockJump('global', '-1h', -hourMs, 5_000, library),
  ])
})

test('F35 a zone starts without its global: its resolver answers from the own store within a second after the zone is ready', async () => {
  const { demo } = victim
  const { service } = demo.names
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
  // The line is an entry of our log.
  const { time } = JSON.parse(ready ?? '') as { readonly time: number }
  expect(answeredAtMs - time).toBeLessThan(1_000)
  startGlobal()
  await untilBothCurrent(demo.globalAddress)
})

test('F39 a zone is disabled while it is cut off: other zones stop sending at once, the zone learns it on return, and enabling restores everything', async () => {
  const { demo, stack } = victim
  const injector = createInjector(stack)
  const enable = (enabled: boolean) =>
    api(demo.globalAddress).need('PUT', '/zones/west', { type: 'Zone', name: 'west', enabled })
  const west = async () => {
    const { zones } = await statusOf(demo.globalAddress)
    return zones.find(({ zone }) => zone === 'west')
  }
  const before = (await west())?.epoch ?? 0
  await injector.breakLine('west', { blackHole: ['up', 'down'] })
  await enable(false)
  // Its ingress is no longer used, even if the zone does not have that change yet.
  await until(
    'no request goes there',
    () => throughGateway(demo, '/'),
    ({ status }) => status === 503,
  )
  await injector.healLine('west')
  await until(
    'the zone is told why',
    () => zonemesh('status', '--address', demo.zones.west.apiAddress),
    ({ stdout }) => /^uplink refused: .*the Zone "west" is disabled/m.test(stdout),
  )
  // It continues with its stored rows: its own proxies lose nothing.
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
