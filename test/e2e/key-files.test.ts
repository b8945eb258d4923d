import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses } from '@zonemesh/cli/scene/processes.ts'
import { decodeJoin } from '@zonemesh/shared/auth/join.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Folder, local, type Outcome, temporaryFolder, until, zonemesh } from './rig.ts'

/** Copies of two stopped planes: a global with sealed rows of each kind, and a zone that joined it. */
let folder: Folder
let joinFile = ''

const path = (name: string): string => join(folder.path, name)
const anyPorts = ['--host', local, '--api-port', '0', '--api-tls-port', '0', '--health-port', '0']
const globalArgs = (dataDir: string): string[] => ['global', '--data-dir', dataDir, ...anyPorts, '--sync-port', '0']
const zoneArgs = (dataDir: string): string[] => [
  ...['zone', '--join-file', joinFile, '--data-dir', dataDir, ...anyPorts],
  ...['--proxy-port', '0', '--dns-port', '0'],
]

beforeAll(async () => {
  folder = temporaryFolder()
  const processes = createProcesses(folder.path)
  const [apiPort = 0, sync = 0] = await freePorts(systemRandom, 2)
  const address = `http://${local}:${apiPort}`
  const global = ['global', '--data-dir', path('global'), ...anyPorts]
  processes.startOwn('global', [...global, '--api-port', `${apiPort}`, '--sync-port', `${sync}`])
  await until(
    'the global answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  const mtls = { enabledBackend: 'ca-1', backends: [{ name: 'ca-1', type: 'builtin' }] }
  await api(address).need('PUT', '/meshes/default', { type: 'Mesh', name: 'default', mtls })
  const secret = { type: 'GlobalSecret', name: 'note', data: Buffer.from('value').toString('base64') }
  await api(address).need('PUT', '/global-secrets/note', secret)
  const { stdout } = await zonemesh('token', 'zone', 'east', '--address', address)
  expect(decodeJoin(stdout).ok).toBe(true)
  joinFile = folder.file('east.join', stdout)
  processes.startOwn('zone-east', zoneArgs(path('east')))
  await until(
    'the zone has keys of its own and the recovery file is complete',
    () => readFileSync(path('global/recovery.keys'), 'utf8'),
    (text) => ['MeshRoot', 'note', 'zone-token-signing-key'].every((part) => text.includes(part)),
  )
  await until(
    'the zone has its authority',
    async () => (await api(address).need('GET', '/_status')).text,
    (text) => /"current": ?true/.test(text),
  )
  await processes.stop()
})
afterAll(() => folder[Symbol.dispose]())

/** A copy of a data folder to damage. */
function copyOf(source: 'global' | 'east', name: string): string {
  cpSync(path(source), path(name), { recursive: true })
  return path(name)
}

/** The key files of a folder. The store has its own journal, so it is left out. */
const keysIn = (dataDir: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(dataDir)
      .filter((name) => /\.(key|keys|crt|previous)$/.test(name))
      .map((name) => [name, readFileSync(join(dataDir, name), 'utf8')]),
  )

/** Starts a plane that must refuse: one line, exit code 1, and no key file changed. */
async function expectRefused(args: readonly string[], dataDir: string, line: RegExp): Promise<void> {
  const before = keysIn(dataDir)
  const outcome: Outcome = await zonemesh(...args)
  const told = outcome.stderr.split('\n').filter((text) => text !== '' && !text.startsWith('{'))
  expect(told.join('\n')).toMatch(line)
  expect([told.length, outcome.code]).toEqual([1, 1])
  expect(keysIn(dataDir)).toEqual(before)
}

const damages = {
  missing: (file: string) => rmSync(file),
  empty: (file: string) => writeFileSync(file, ''),
} as const

for (const role of ['global', 'east'] as const) {
  const args = role === 'global' ? globalArgs : zoneArgs
  const isFrom = role === 'global' ? ', or from "[^"]+" in a copy of recovery.keys' : ''
  for (const name of ['seal.key', 'ca.key', 'ca.crt'])
    for (const [damage, harm] of Object.entries(damages))
      test(`V14 a ${role === 'global' ? 'global' : 'zone'} whose ${name} is ${damage} does not start, names the file and where to restore it from, and changes no key`, async () => {
        const dataDir = copyOf(role, `${role}-${name}-${damage}`)
        harm(join(dataDir, name))
        const found = damage === 'missing' ? 'no such file' : 'an empty file'
        const line = new RegExp(
          `expected ${join(dataDir, name)} .*found ${found}: restore it from a backup of this folder${isFrom}`,
        )
        await expectRefused(args(dataDir), dataDir, line)
      })

  test(`V14 a ${role === 'global' ? 'global' : 'zone'} with the seal.key of another folder does not start and changes no key`, async () => {
    const dataDir = copyOf(role, `${role}-other-seal`)
    cpSync(path(`${role === 'global' ? 'east' : 'global'}/seal.key`), join(dataDir, 'seal.key'))
    const line = /expected .*seal\.key to open all \d+ secrets in the store, found \d+ that it cannot open \(.+\)/
    await expectRefused(args(dataDir), dataDir, line)
  })

  test(`V14 a ${role === 'global' ? 'global' : 'zone'} whose ca.key belongs to another ca.crt does not start and changes no key`, async () => {
    const dataDir = copyOf(role, `${role}-other-ca`)
    cpSync(path(`${role === 'global' ? 'east' : 'global'}/ca.key`), join(dataDir, 'ca.key'))
    await expectRefused(args(dataDir), dataDir, /expected .*ca\.key to belong to .*ca\.crt, found the key of another/)
  })
}

/** Starts a global, waits until it is ready, and stops it. */
async function startAndStop(name: string, args: readonly string[]): Promise<string> {
  const processes = createProcesses(folder.path)
  const { logFile } = processes.startOwn(name, args)
  try {
    return await until(
      `${name} is ready`,
      () => readFileSync(logFile, 'utf8'),
      (text) => text.includes('is ready'),
    )
  } finally {
    await processes.stop()
  }
}

test('V14 after its key file is restored, the global starts as before', async () => {
  const dataDir = copyOf('global', 'restored')
  rmSync(join(dataDir, 'seal.key'))
  const { sealKey } = JSON.parse(readFileSync(join(dataDir, 'recovery.keys'), 'utf8'))
  writeFileSync(join(dataDir, 'seal.key'), sealKey)
  const before = keysIn(dataDir)
  await startAndStop('restored', globalArgs(dataDir))
  expect(keysIn(dataDir)).toEqual(before)
  expect(statSync(join(dataDir, 'seal.key')).mode & 0o777).toBe(0o600)
})

test('V14 a missing or empty server certificate is issued again by the same authority', async () => {
  for (const [damage, harm] of Object.entries(damages)) {
    const dataDir = copyOf('global', `server-${damage}`)
    const before = keysIn(dataDir)
    harm(join(dataDir, 'server.crt'))
    await startAndStop(`server-${damage}`, globalArgs(dataDir))
    const after = keysIn(dataDir)
    expect(after['ca.crt']).toBe(before['ca.crt'])
    expect(after['server.crt']).toMatch(/BEGIN CERTIFICATE/)
  }
})

test('V14 secrets that do not open are deleted only with --accept-lost-secrets, and the former recovery file is kept', async () => {
  const dataDir = copyOf('global', 'accepted')
  cpSync(path('east/seal.key'), join(dataDir, 'seal.key'))
  const log = await startAndStop('accepted', [...globalArgs(dataDir), '--accept-lost-secrets'])
  expect(log).toMatch(/deleted .* secrets that seal\.key cannot open/)
  // The lost rows are still in the kept copy, with the key that opens them.
  const previous = JSON.parse(readFileSync(join(dataDir, 'recovery.keys.previous'), 'utf8'))
  expect(previous.sealKey).toBe(readFileSync(path('global/seal.key'), 'utf8'))
  expect(JSON.stringify(previous.rows)).toContain('"name":"note"')
  expect(JSON.parse(readFileSync(join(dataDir, 'recovery.keys'), 'utf8')).sealKey).not.toBe(previous.sealKey)
})

test('V15 the recovery file is rewritten only with a key that opens every row in it, and the former copy is kept', async () => {
  const dataDir = copyOf('global', 'running')
  const processes = createProcesses(folder.path)
  const [apiPort = 0] = await freePorts(systemRandom, 1)
  const address = `http://${local}:${apiPort}`
  const { logFile } = processes.startOwn('running', [...globalArgs(dataDir), '--api-port', `${apiPort}`])
  const write = (name: string) =>
    api(address).need('PUT', `/global-secrets/${name}`, { type: 'GlobalSecret', name, data: 'eA==' })
  const recoveryFile = join(dataDir, 'recovery.keys')
  const read = (file: string) => readFileSync(file, 'utf8')
  try {
    await until(
      'the global answers',
      () => api(address).call('GET', '/'),
      ({ status }) => status === 200,
    )
    const first = read(recoveryFile)
    await write('first')
    await until(
      'it is in the file',
      () => read(recoveryFile),
      (text) => text.includes('"name": "first"'),
    )
    expect(read(`${recoveryFile}.previous`)).toBe(first)
    for (const file of [recoveryFile, `${recoveryFile}.previous`]) expect(statSync(file).mode & 0o777).toBe(0o600)

    const good = read(recoveryFile)
    writeFileSync(join(dataDir, 'seal.key'), Buffer.alloc(32, 7).toString('base64'))
    await write('second')
    await until(
      'the fault is logged',
      () => read(logFile),
      (text) => text.includes('did not replace the recovery file'),
    )
    await processes.stop()
    expect(read(recoveryFile)).toBe(good)
  } finally {
    await processes.stop()
  }
})
