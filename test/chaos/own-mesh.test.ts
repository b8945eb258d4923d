import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pause } from '@zonemesh/cli/chaos/faults/faults.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root, until, zonemesh } from '../e2e/rig.ts'
import { expectHeld, startVictim, type Victim } from './rig.ts'

// What a run writes, and what it leaves, on one demo.
let victim: Victim
beforeAll(async () => {
  victim = await startVictim(404)
})
afterAll(() => victim[Symbol.asyncDispose]())

async function ask(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await zonemesh(...args, '--address', victim.demo.globalAddress)
  expect([args, code, stderr]).toEqual([args, 0, ''])
  return stdout
}

const meshes = () => ask('get', 'meshes', '-o', 'name')
const routes = () => ask('get', 'meshgatewayroutes', '-A', '-o', 'name')

test('B37 the changes of a run are in a mesh of its own, and in the mesh under test it writes one route, a few times', async () => {
  const before = { meshes: await meshes(), routes: await routes() }
  const verdict = await expectHeld(victim, [pause('zone-west', 6_000)])
  expect({ meshes: await meshes(), routes: await routes() }).toEqual(before)
  const history = await ask('history', '--mesh', victim.demo.names.mesh, '--limit', '100')
  const ofRun = history.split('\n').filter((line) => line.includes('zonemesh chaos'))
  expect(ofRun.filter((line) => !/MeshGatewayRoute \S+\/zonemesh-chaos (created|changed|deleted)/.test(line))).toEqual(
    [],
  )
  // It is created, changed once in five seconds and deleted, while the other rows change all the time.
  expect(ofRun.length).toBeGreaterThanOrEqual(3)
  expect(ofRun.length).toBeLessThan(verdict.counts.committed / 3)
  expect(verdict.counts.servedRoute).toBeGreaterThanOrEqual(2)
})

/** A run in a process of its own, from the time on at which its mesh exists. */
async function startRun(): Promise<ChildProcess> {
  const args = ['chaos', 'pause', 'zone-west', '--for', '1m', '--stack', victim.demo.stackFile ?? '']
  const child = spawn(process.execPath, [join(root, 'packages/cli/src/main.ts'), ...args], { stdio: 'ignore' })
  await until('the mesh of the run', meshes, (names) => names.includes('zonemesh-chaos'))
  return child
}

const answersNot = () =>
  fetch(`${victim.demo.zones.west.apiAddress}/_status`, { signal: AbortSignal.timeout(500) }).then(
    () => false,
    () => true,
  )

test('B37 a run that is stopped by Ctrl-C leaves no rows, and those of a killed run are removed by the next one', async () => {
  const before = { meshes: await meshes(), routes: await routes() }
  const stopped = await startRun()
  stopped.kill('SIGINT')
  expect(await once(stopped, 'exit')).toEqual([1, null])
  expect({ meshes: await meshes(), routes: await routes() }).toEqual(before)

  const killed = await startRun()
  await until('the zone does not answer', answersNot, (isSo) => isSo)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  expect(await meshes()).toContain('zonemesh-chaos')
  // The zone is still paused: the next run ends the fault of the killed one, too.
  await expectHeld(victim, [pause('global', 4_000)])
  expect({ meshes: await meshes(), routes: await routes() }).toEqual(before)
})
