import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningGlobal } from '@zonemesh/global/global.ts'
import { decodeJoin } from '@zonemesh/shared/auth/join.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readHosts } from '../../src/scene/machines.ts'
import { clientOf, createUser, startTestGlobal, type User } from '../rig.ts'

let global: RunningGlobal
let user: User
let address: string
beforeEach(async () => {
  global = await startTestGlobal()
  address = `http://127.0.0.1:${global.apiPort}`
  user = createUser()
  await user.run(['init', '.'])
})
afterEach(async () => {
  user[Symbol.dispose]()
  await global.close()
})

const scene = { path: 'zonemesh.yaml', zones: ['east', 'west'] }

test.each([
  [['east'], '--on: expected global=HOST or ZONE=HOST, found "east"'],
  [['east='], '--on: expected global=HOST or ZONE=HOST, found "east="'],
  [['east=a b'], '--on: expected global=HOST or ZONE=HOST, found "east=a b"'],
  [['east=../x'], '--on: expected global=HOST or ZONE=HOST, found "east=../x"'],
  [['esat=a'], '--on: zonemesh.yaml has no "esat"; did you mean "east"? (it has: global, east, west)'],
  [['east=a', 'east=b'], '--on: expected one machine for east, found two'],
  [['east=a'], 'no machine for: global, west; give --on global=HOST --on west=HOST'],
] as const)('UP31 up --on needs one machine for the global and each zone: %j', (pairs, message) => {
  expect(() => readHosts(pairs, scene)).toThrow(message)
})

const on = ['--on', 'global=127.0.0.1', '--on', 'east=127.0.0.1', '--on', 'west=localhost']

test('UP32 up --on --output-dir writes a folder for each machine, which only its owner can read', async () => {
  const { code, stdout, stderr } = await user.run(['up', ...on, '--output-dir', 'out', '--address', address])
  expect([code, stderr]).toEqual([0, expect.stringContaining('what follows holds tokens')])
  const out = join(user.home, 'out')
  expect(readdirSync(out).sort()).toEqual(['127.0.0.1', 'localhost'])
  const files = [
    'echo-1.token',
    'echo-1.yaml',
    'echo-2.token',
    'echo-2.yaml',
    'ingress-west.token',
    'ingress-west.yaml',
  ]
  expect(readdirSync(join(out, 'localhost')).sort()).toEqual([...files, 'start.sh', 'west.join'])
  for (const name of files) expect(statSync(join(out, 'localhost', name)).mode & 0o777).toBe(0o600)
  expect(statSync(join(out, 'localhost')).mode & 0o777).toBe(0o700)
  const joined = decodeJoin(readFileSync(join(out, 'localhost/west.join'), 'utf8'))
  expect(joined.ok && joined.value.address).toBe(`https://127.0.0.1:${global.syncPort}`)
  // The second plane of a machine has other ports; west is alone on its machine.
  expect(readFileSync(join(out, '127.0.0.1/start.sh'), 'utf8')).toContain('--api-port 5691')
  expect(readFileSync(join(out, 'localhost/start.sh'), 'utf8')).not.toContain('--api-port')
  expect(stdout).not.toContain('zmj1.')
  expect(stdout).toContain('scp -r out/localhost localhost:zonemesh && ssh localhost sh zonemesh/start.sh')
})

test('UP33 up --on refuses a global that other machines do not reach, and explains wrong usage', async () => {
  const away = ['up', '--on', 'global=192.0.2.1', '--on', 'east=192.0.2.1,west=192.0.2.2', '--address', address]
  expect(await user.run(away)).toMatchObject({
    ...{ code: 1, stdout: '' },
    stderr: expect.stringContaining(
      'listens on 127.0.0.1, so zones on other machines cannot join it; start it with: nohup',
    ),
  })
  const wrong = await Promise.all([
    user.run(['up', ...on, '--detach']),
    user.run(['up', '--output-dir', 'out']),
    user.run(['up', ...on, '-f', 'nothing.yaml']),
  ])
  expect(wrong.map(({ code, stderr }) => [code, stderr.split('\n')[0]])).toEqual([
    [2, 'zonemesh up: expected --detach or --on, found both'],
    [2, 'zonemesh up: --output-dir needs --on'],
    [1, expect.stringContaining('cannot read the scene file nothing.yaml')],
  ])
})

test('UP34 up --on explains that a service which needs the resolver of its proxy cannot be printed', async () => {
  await user.run(['init', 'nginx', '--template', 'delegated-nginx'])
  const { code, stdout, stderr } = await user.run(['up', ...on, '--address', address], { within: 'nginx' })
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/needs \$\{resolver\}, which is known only on its machine/)
  // Nothing was created on the global.
  const { json } = await clientOf(global).need('GET', '/zones')
  expect(json).toMatchObject({ total: 0 })
})

test('UP34 up --on writes addresses of IPv6 with brackets where a port follows', async () => {
  const there = ['--on', 'global=::1,east=::1,west=::1', '--address', address]
  const { code, stdout } = await user.run(['up', ...there])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^# On ::1: global, zone east, gateway-1, zone west, /m)
  expect(stdout).toContain('http://[::1]:8080/')
  const joined = decodeJoin(/^zmj1\.\S+$/m.exec(stdout)?.[0] ?? '')
  expect(joined.ok && joined.value.address).toBe(`https://[::1]:${global.syncPort}`)
  // Each further plane of a machine has other ports.
  expect(stdout.match(/--(api|proxy)-port \d+/g)).toEqual([
    ...['--api-port 5691', '--api-port 5701', '--proxy-port 5688'],
  ])
})
