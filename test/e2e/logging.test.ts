import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFlags } from '@zonemesh/cli/base/node-flags.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { api, type Folder, local, root, temporaryFolder, until } from './rig.ts'

let folder: Folder
const running: ChildProcess[] = []
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  for (const child of running.splice(0)) {
    const isOver = child.exitCode !== null || child.signalCode !== null
    if (isOver) continue
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  folder[Symbol.dispose]()
})

type Output = number | 'pipe'

/** Starts a plane of this role with these outputs. Resolves when it answers. */
async function start(role: 'global' | 'zone', stdout: Output, stderr: Output) {
  const [apiPort = 0] = await freePorts(systemRandom, 1)
  const own = role === 'global' ? ['--sync-port', '0'] : ['--name', 'home', '--proxy-port', '0', '--dns-port', '0']
  const args = [role, '--data-dir', join(folder.path, role), '--host', local, '--api-port', `${apiPort}`]
  const rest = ['--api-tls-port', '0', '--health-port', '0', '--log-level', 'debug', ...own]
  const main = join(root, 'packages/cli/src/main.ts')
  const child = spawn(process.execPath, [...nodeFlags, main, ...args, ...rest], { stdio: ['ignore', stdout, stderr] })
  running.push(child)
  const address = `http://${local}:${apiPort}`
  const answers = () =>
    until(
      `the ${role} answers`,
      () => api(address).call('GET', '/meshes'),
      ({ status }) => status === 200,
    )
  await answers()
  const put = (name: string) => api(address).call('PUT', `/meshes/${name}`, { type: 'Mesh', name })
  return { child, address, answers, put }
}

for (const role of ['global', 'zone'] as const) {
  test(`B40 a ${role} whose log goes to a full disk starts and serves`, async () => {
    const full = openSync('/dev/full', 'w')
    const { child, put, answers } = await start(role, full, full)
    expect((await put('one')).status).toBe(201)
    await answers()
    expect(child.exitCode).toBe(null)
  })

  test(`B40 a ${role} whose output has no reader any more continues to serve`, async () => {
    const { child, put, answers } = await start(role, 'pipe', 'pipe')
    child.stdout?.destroy()
    child.stderr?.destroy()
    for (const name of ['one', 'two', 'three']) expect((await put(name)).status).toBe(201)
    await answers()
    // Its last log lines cannot be written either.
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
}

test('B40 with log and store on a full disk, writes get 503 with Retry-After and the error object, and everything continues by itself', async () => {
  const logFile = join(folder.path, 'log')
  const log = openSync(logFile, 'a')
  const { child, address, put, answers } = await start('global', log, log)
  const limit = (bytes: number | 'unlimited') => execFileSync('prlimit', ['--pid', `${child.pid}`, `--fsize=${bytes}:`])
  limit(Math.min(statSync(logFile).size, 4_096))
  for (const name of ['one', 'two', 'three']) {
    const reply = await put(name)
    expect(reply.status).toBe(503)
    expect(reply.headers['retry-after']).toBe('1')
    expect(reply.json).toMatchObject({ type: '/std-errors', status: 503, title: 'Service Unavailable' })
  }
  await answers()
  expect(child.exitCode).toBe(null)
  limit('unlimited')
  const reply = await until(
    'it takes writes',
    () => put('one'),
    ({ status }) => status < 300,
  )
  expect(reply.status).toBe(201)
  // A secret is followed by a line about the recovery file, and that by what was lost before.
  await api(address).need('PUT', '/global-secrets/note', { type: 'GlobalSecret', name: 'note', data: 'eA==' })
  await until(
    'the log says how many lines it lacks',
    () => readFileSync(logFile, 'utf8'),
    (text) => /"dropped":[1-9]\d*.*lines of the log could not be written/.test(text),
  )
})
