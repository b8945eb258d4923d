import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startPostgres } from '../contract/postgres-server.ts'
import { api, type Folder, local, temporaryFolder, until, zonemesh } from '../e2e/rig.ts'

// Tests planes whose store is unavailable or damaged.
let folder: Folder
let processes: Processes
beforeEach(() => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
})
afterEach(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0']
const zonePorts = [...anyPorts, '--proxy-port', '0', '--dns-port', '0']
const putMesh = (address: string, name: string) => api(address).call('PUT', `/meshes/${name}`, { type: 'Mesh', name })
const hasMesh = (address: string, name: string) =>
  until(
    `${address} has the mesh ${name}`,
    () => api(address).call('GET', `/meshes/${name}`),
    ({ status }) => status === 200,
  )

test('F16 the database of the global is away for longer than the silence limit: its zone keeps every row, writes get 503, and all continues', async () => {
  await using server = await startPostgres({ durable: false })
  const [port = 0, sync = 0, zonePort = 0] = await freePorts(systemRandom, 3)
  const places = ['--store', server.url('chaos'), '--data-dir', join(folder.path, 'global')]
  processes.startOwn('global', ['global', ...places, ...anyPorts, '--api-port', `${port}`, '--sync-port', `${sync}`])
  const [globalAddress, zoneAddress] = [`http://${local}:${port}`, `http://${local}:${zonePort}`]
  await until(
    'the global answers',
    () => api(globalAddress).call('GET', '/'),
    ({ status }) => status === 200,
  )
  const { stdout } = await zonemesh('token', 'zone', 'east', '--address', globalAddress)
  const given = ['--join-file', folder.file('east.join', stdout), '--data-dir', join(folder.path, 'east')]
  processes.startOwn('zone-east', ['zone', ...given, ...zonePorts, '--api-port', `${zonePort}`])
  expect((await putMesh(globalAddress, 'before')).status).toBe(201)
  await hasMesh(zoneAddress, 'before')
  const epoch = async () => {
    const { json } = await api(zoneAddress).call('GET', '/_status')
    return JSON.stringify(json).match(/"epoch":(\d+)/)?.[1]
  }
  const before = await epoch()
  expect(before).toBeDefined()

  await server.crash()
  const startMs = performance.now()
  // Nine seconds are more than the seven after which a silent end is cut.
  await until(
    'nine seconds without the database',
    async () => {
      const write = await fetch(`${globalAddress}/meshes/during`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ type: 'Mesh', name: 'during' }),
      })
      expect([write.status, write.headers.get('retry-after')]).toEqual([503, '1'])
      expect((await api(zoneAddress).call('GET', '/meshes/before')).status).toBe(200)
      return performance.now() - startMs
    },
    (ms) => ms > 9_000,
  )
  await server.start()
  await until(
    'the global writes again',
    () => putMesh(globalAddress, 'after'),
    ({ status }) => status < 300,
  )
  await hasMesh(zoneAddress, 'after')
  // The session has waited with the global.
  expect(await epoch()).toBe(before)
  expect((await api(zoneAddress).call('GET', '/meshes/before')).status).toBe(200)
})

const pageBytes = 4_096

test('F43 a bit of the structure of a store file is flipped: the plane exits with one sentence', async () => {
  const [port = 0] = await freePorts(systemRandom, 1)
  const dataDir = join(folder.path, 'home')
  const args = ['zone', '--name', 'home', '--data-dir', dataDir, ...zonePorts, '--api-port', `${port}`]
  const address = `http://${local}:${port}`
  processes.startOwn('home', args)
  await until(
    'the zone answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  for (const name of ['one', 'two', 'three']) expect((await putMesh(address, name)).status).toBe(201)
  await processes.kill('home', 'SIGTERM')
  const path = join(dataDir, 'store.db')
  const sound = readFileSync(path)
  const flip = (at: number) => {
    const file = openSync(path, 'r+')
    writeSync(file, Uint8Array.of((sound[at] ?? 0) ^ 0x80), 0, 1, at)
    closeSync(file)
  }
  const restore = () => {
    for (const end of ['-wal', '-shm']) rmSync(path + end, { force: true })
    writeFileSync(path, sound)
  }
  // The name of the format, and the kind of each page.
  const places = [
    0,
    ...Array.from({ length: sound.length / pageBytes }, (_, page) => (page === 0 ? 100 : page * pageBytes)),
  ]
  const outcomes = new Map<number, string>()
  for (const at of places) {
    flip(at)
    const one = processes.startOwn('home', args)
    const answered = until(
      'the zone answers',
      () => api(address).call('GET', '/meshes'),
      ({ status }) => status > 0,
    ).then(({ status, json }) => `served ${status} ${Object(json).total}`)
    answered.catch(() => undefined)
    const outcome = await Promise.race([answered, one.exited.then((code) => `ended with ${code}`)])
    if (outcome.startsWith('served')) await processes.kill('home', 'SIGKILL')
    restore()
    outcomes.set(at, outcome)
  }
  expect([...outcomes].filter(([, outcome]) => outcome !== 'ended with 1')).toEqual([])
  const log = readFileSync(join(folder.path, 'home.log'), 'utf8')
  expect(log).toMatch(/cannot open store .*: expected a Zonemesh store, found a file that is not a database/)
  expect(log).toMatch(/cannot open store .*: expected a sound database, found it damaged/)
  const again = processes.startOwn('home', args)
  await hasMesh(address, 'three')
  expect(again.process.exitCode).toBeNull()
})

test('S3 the store of a running global is deleted or replaced: the status reports it within 2 s, writes get 503, and no lost write is acknowledged', async () => {
  const [port = 0, sync = 0] = await freePorts(systemRandom, 2)
  const address = `http://${local}:${port}`
  const dataDir = join(folder.path, 'global')
  const file = join(dataDir, 'store.db')
  const args = ['global', '--data-dir', dataDir, ...anyPorts, '--api-port', `${port}`, '--sync-port', `${sync}`]
  processes.startOwn('global', args)
  await until(
    'the global answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  const fault = async () => ((await api(address).need('GET', '/_status')).json as { storeFault?: string }).storeFault
  expect(await fault()).toBeUndefined()
  let acknowledged = 0
  const damages = [
    [/store\.db was deleted/, () => renameSync(file, `${file}.away`)],
    [/store\.db was replaced by another file/, () => writeFileSync(file, 'another file')],
    [/store\.db-wal was deleted/, () => renameSync(`${file}-wal`, `${file}-wal.away`)],
  ] as const
  for (const [sentence, damage] of damages) {
    // Writes without a pause: each acknowledged write must be stored after the restart.
    const writing = (async () => {
      for (;;) {
        const { status, headers } = await putMesh(address, `m${acknowledged + 1}`)
        if (status !== 201 && status !== 200) return [status, headers['retry-after']]
        acknowledged += 1
      }
    })()
    const before = acknowledged
    await until(
      'writes are acknowledged',
      () => acknowledged,
      (count) => count >= before + 3,
    )
    if (sentence.source.includes('replaced')) renameSync(file, `${file}.away`)
    damage()
    const damagedMs = performance.now()
    await until('status says why', fault, (found) => sentence.test(found ?? ''))
    expect(performance.now() - damagedMs).toBeLessThan(2_000)
    expect(await writing).toEqual([503, '1'])
    expect((await zonemesh('status', '--address', address)).stdout).toMatch(sentence)
    for (const name of [file, `${file}-wal`]) if (existsSync(`${name}.away`)) renameSync(`${name}.away`, name)
    await until('the same file is back', fault, (found) => found === undefined)
    expect((await putMesh(address, 'back')).status).toBeLessThan(300)
  }
  expect(acknowledged).toBeGreaterThan(0)
  const restart = await processes.kill('global', 'SIGKILL')
  restart()
  for (let index = 1; index <= acknowledged; index += 1) await hasMesh(address, `m${index}`)
})
