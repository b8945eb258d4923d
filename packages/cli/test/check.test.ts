import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { judgeMachine, type MachineFacts } from '../src/check/machine.ts'
import { statusFindings, tokenFindings } from '../src/check/planes.ts'
import { createUser, startTestGlobal, stoppedTestZone, type User } from './rig.ts'

let user: User
beforeEach(() => {
  user = createUser()
})
afterEach(() => user[Symbol.dispose]())

async function held(): Promise<{ readonly port: number } & AsyncDisposable> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : 0,
    [Symbol.asyncDispose]: () => new Promise((resolve) => void server.close(() => resolve())),
  }
}

test('B78 check has a line for each check, names the process that holds a port, and exits with 1 if a check fails', async () => {
  await user.run(['init', '.'])
  await using taken = await held()
  const away = ['--address', 'http://127.0.0.1:9']
  const ports = (name: string) =>
    writeFileSync(join(user.home, '.zonemesh/ports.json'), JSON.stringify({ [name]: taken.port }))
  mkdirSync(join(user.home, '.zonemesh'), { recursive: true })
  ports('global.api')
  const bad = await user.run(['check'])
  expect(bad.code).toBe(1)
  expect(bad.stdout).toMatch(
    new RegExp(
      `^FAILED +ports +global\\.api: .*:${taken.port} .*in use by \\S+ \\(pid ${process.pid}\\); stop that process, or`,
      'm',
    ),
  )
  expect(bad.stdout).toMatch(/^ok +Node +24\./m)
  const json: readonly { state: string; check: string }[] = JSON.parse((await user.run(['check', '-o', 'json'])).stdout)
  expect(json.filter(({ state }) => state === 'failed').map(({ check }) => check)).toContain('ports')
  const lost = await user.run(['check', ...away])
  expect(lost.stdout).toMatch(
    /^FAILED +control plane +cannot reach the control plane at http:\/\/127\.0\.0\.1:9: .*; start it/m,
  )
  expect((await user.run(['check', '-f', 'nothing.yaml'])).stdout).toMatch(
    /^FAILED +ports +cannot read the scene file/m,
  )
})

test('B78 check of a running plane shows its zones, and fails while one is not current', async () => {
  await using stack = new AsyncDisposableStack()
  const global = await startTestGlobal()
  stack.defer(() => global.close())
  const where = ['--address', `http://127.0.0.1:${global.apiPort}`]
  const good = await user.run(['check', ...where])
  expect(good.stdout).toMatch(/^ok +control plane +global control plane \S+ at http/m)
  expect(good.stdout).toMatch(/^ok +clock +as that of the control plane$/m)
  expect(good.stdout).toMatch(/^ok +zones +all are current/m)
  expect([good.code, good.stderr]).toEqual([0, ''])
  await stoppedTestZone(global, 'east')
  const bad = await user.run(['check', ...where])
  expect([bad.code, bad.stdout]).toEqual([1, expect.stringMatching(/^FAILED +zones +zone east is offline/m)])
})

const facts: MachineFacts = {
  ...{ node: '24.1.0', platform: 'linux-x64', envoy: { path: '/envoy', version: '1.40.0' }, dataFolder: '/data' },
  ...{ freeBytes: 5e9, openFiles: 65_536, memoryBytes: 2e9, isMemoryLimited: false, firstFreePort: 1024 },
  ...{ isRoot: false, hasIpv6: true },
}

test.each<[string, Partial<MachineFacts>, readonly string[]]>([
  ['nothing', {}, []],
  ['an old Node', { node: '20.1.0' }, ['failed Node']],
  ['a machine without a build of Envoy', { platform: 'linux-riscv64' }, ['warning architecture']],
  ['no Envoy', { envoy: undefined }, ['warning Envoy']],
  ['neither', { envoy: undefined, platform: 'linux-riscv64' }, ['failed architecture', 'warning Envoy']],
  ['another Envoy', { envoy: { path: '/envoy', version: '1.30.0' } }, ['warning Envoy']],
  ['an Envoy that does not run', { envoy: { path: '/envoy', version: undefined } }, ['failed Envoy']],
  ['a wrong ZONEMESH_ENVOY', { envoy: undefined, envoyFault: 'expected …' }, ['failed Envoy']],
  ['little space', { freeBytes: 5e8 }, ['warning disk']],
  ['no space', { freeBytes: 5e7 }, ['failed disk']],
  ['few open files', { openFiles: 1_024 }, ['warning open files']],
  ['very few open files', { openFiles: 256 }, ['failed open files']],
  ['little memory', { memoryBytes: 5e8, isMemoryLimited: true }, ['warning memory']],
  ['hardly any memory', { memoryBytes: 2e8 }, ['failed memory']],
  ['a system without limits', { openFiles: undefined, firstFreePort: undefined, hasIpv6: false }, []],
])('B79 check judges a machine, and each finding says what to do: %s', (_title, change, expected) => {
  const bad = judgeMachine({ ...facts, ...change }).filter(({ state }) => state !== 'ok')
  expect(bad.map(({ state, check }) => `${state} ${check}`)).toEqual(expected)
  for (const { remedy, found } of bad)
    expect([remedy?.length ?? 0, found.length]).toEqual([expect.any(Number), expect.any(Number)])
  expect(bad.filter(({ remedy }) => !remedy)).toEqual([])
})

const ofGlobal = (more: JsonObject): JsonObject => ({ role: 'global', revision: 9, zones: [], ...more })
const ending = { what: 'root authority', who: 'mesh default', ends: '2030-01-01' }

test.each<[string, JsonObject, readonly string[]]>([
  ['all is well', ofGlobal({}), ['ok zones', 'ok expiry']],
  [
    'a clock',
    ofGlobal({ zones: [{ zone: 'east', started: false, clockAheadMs: 60_000 }] }),
    ['ok zones', 'warning clock', 'ok expiry'],
  ],
  ['a certificate expires soon', ofGlobal({ expiring: [{ ...ending, endsInMs: 5 }] }), ['ok zones', 'warning expiry']],
  ['a certificate has expired', ofGlobal({ expiring: [{ ...ending, endsInMs: -5 }] }), ['ok zones', 'failed expiry']],
  [
    'a certificate is not valid yet',
    ofGlobal({ notYetValid: [{ ...ending, begins: '2030-01-01', remedy: 'restart' }] }),
    ['ok zones', 'failed expiry'],
  ],
])('B79 check judges the status of a plane: %s', (_title, status, expected) => {
  expect(statusFindings(status).map(({ state, check }) => `${state} ${check}`)).toEqual(expected)
})

test('B79 check judges the token of the user by its expiry, and shows nothing of it', () => {
  const nowMs = Date.parse('2030-01-01T00:00:00Z')
  const token = (inDays: number) =>
    `e30.${Buffer.from(JSON.stringify({ exp: nowMs / 1_000 + inDays * 86_400 })).toString('base64url')}.signature`
  const found = [undefined, token(30), token(3), token(-1), 'planted'].map((one) => tokenFindings(one, nowMs))
  expect(found.map(([one]) => one?.state)).toEqual([undefined, 'ok', 'warning', 'failed', 'warning'])
  expect(JSON.stringify(found)).not.toMatch(/signature|planted/)
})
