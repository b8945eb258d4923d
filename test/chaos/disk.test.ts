import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, startTraffic, statusOf, throughGateway, until, untilBothCurrent, zonemesh } from '../e2e/rig.ts'
import { startVictim, type Victim } from './rig.ts'

// Tests planes whose disk accepts no more writes.
let victim: Victim
beforeAll(async () => {
  victim = await startVictim(4201)
})
afterAll(() => victim[Symbol.asyncDispose]())

/** Limits the size of the process's files from now on: further writes fail, as on a full disk. */
function limitFiles(name: string, bytes: number | 'unlimited'): void {
  const pid = victim.demo.processes.get(name)?.pid
  // Only the soft limit, because the hard limit could not be reset.
  execFileSync('prlimit', ['--pid', `${pid}`, `--fsize=${bytes}:`])
}
const logOf = (name: string): string => readFileSync(victim.demo.processes.get(name)?.logFile ?? '', 'utf8')

const timeout = (name: string): JsonObject => ({
  type: 'Timeout',
  mesh: victim.demo.names.mesh,
  name,
  sources: [{ match: { 'kuma.io/service': '*' } }],
  destinations: [{ match: { 'kuma.io/service': '*' } }],
  conf: { connectTimeout: '3s' },
})
const put = (address: string, name: string) =>
  api(address).call('PUT', `/meshes/${victim.demo.names.mesh}/timeouts/${name}`, timeout(name))

const zoneOf = async (name: string): Promise<JsonObject> => {
  const { zones } = await statusOf(victim.demo.globalAddress)
  return zones.find(({ zone }) => zone === name) as unknown as JsonObject // the plane's own shape
}

const why = /cannot write store \S+: (disk I\/O error|database or disk is full)/

test('F42 the disk of a zone is full: its proxies are served, both planes report why it is behind, and it continues by itself', async () => {
  const { demo } = victim
  await using traffic = startTraffic(() => throughGateway(demo, '/'), 2)
  const { epoch } = await zoneOf('east')
  limitFiles('zone-east', 4_096)
  expect((await put(demo.globalAddress, 'while-full')).status).toBe(201)
  const behind = await until(
    'the global says why',
    () => zoneOf('east'),
    ({ reason }) => reason !== undefined,
  )
  expect(behind).toMatchObject({ connected: true, current: false, epoch, reason: expect.stringMatching(why) })
  expect((await zonemesh('status', '--address', demo.globalAddress)).stdout).toMatch(
    new RegExp(`^east +behind .*${why.source}`, 'm'),
  )
  const own = await zonemesh('status', '--address', demo.zones.east.apiAddress)
  expect(own.stdout).toMatch(new RegExp(`^uplink connected: ${why.source}; behind,`, 'm'))
  // The other zone is not affected.
  await until(
    'west is current',
    () => zoneOf('west'),
    ({ current }) => current === true,
  )
  expect((await put(demo.globalAddress, 'again')).status).toBe(201)

  limitFiles('zone-east', 'unlimited')
  await untilBothCurrent(demo.globalAddress)
  expect(await zoneOf('east')).toMatchObject({ connected: true, epoch })
  expect(await zoneOf('east')).not.toHaveProperty('reason')
  expect(logOf('zone-east')).toMatch(/the store takes writes again/)
  expect((await api(demo.zones.east.apiAddress).call('GET', `/meshes/${demo.names.mesh}/timeouts/again`)).status).toBe(
    200,
  )
  await traffic.more(50)
  expect((await traffic.stop()).failures).toEqual([])
})

test('F42 the disk of the global is full: writes get 503, reads and zones continue, and nothing acknowledged is lost', async () => {
  const { demo } = victim
  await using traffic = startTraffic(() => throughGateway(demo, '/'), 2)
  limitFiles('global', 4_096)
  const refused = await put(demo.globalAddress, 'refused')
  expect(refused.status).toBe(503)
  expect(refused.headers['retry-after']).toBe('1')
  expect((await api(demo.globalAddress).call('GET', `/meshes/${demo.names.mesh}/timeouts/again`)).status).toBe(200)
  limitFiles('global', 'unlimited')
  expect((await put(demo.globalAddress, 'after')).status).toBe(201)
  await untilBothCurrent(demo.globalAddress)
  const restart = await demo.processes.kill('global', 'SIGKILL')
  restart()
  await untilBothCurrent(demo.globalAddress)
  expect((await api(demo.globalAddress).call('GET', `/meshes/${demo.names.mesh}/timeouts/after`)).status).toBe(200)
  expect((await api(demo.globalAddress).call('GET', `/meshes/${demo.names.mesh}/timeouts/refused`)).status).toBe(404)
  await traffic.more(50)
  expect((await traffic.stop()).failures).toEqual([])
})
