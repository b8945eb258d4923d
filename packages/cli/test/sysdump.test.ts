import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningGlobal } from '@zonemesh/global/global.ts'
import { createRoot, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { writeRunning } from '../src/base/running-scene.ts'
import { createRedaction } from '../src/sysdump/redact.ts'
import { clientOf, createUser, startTestGlobal, type User } from './rig.ts'

let global: RunningGlobal
let user: User
beforeEach(async () => {
  global = await startTestGlobal()
  user = createUser()
})
afterEach(async () => {
  user[Symbol.dispose]()
  await global.close()
})

const { certificate, key: pem } = await createRoot('planted', lifetime(Date.now(), 30))
const pemBody = pem.split('\n')[1] ?? ''
const adminKey = randomBytes(24).toString('hex')

/** Plants secrets in all places that the archive is made from. Returns them. */
async function plant(): Promise<readonly string[]> {
  const client = clientOf(global)
  const zoneToken = (await client.need('POST', '/tokens/zone', { zone: 'east', scope: ['cp'] })).text.trim()
  const userToken = (await client.need('POST', '/tokens/user', { name: 'ada', groups: [], validFor: '1h' })).text.trim()
  const joinString = encodeJoin({ address: 'https://a:1', token: zoneToken, pin: '0f'.repeat(32) })
  const data = Buffer.from(`planted ${pem}`).toString('base64')
  await client.need('PUT', '/meshes/default/secrets/planted', {
    type: 'Secret',
    mesh: 'default',
    name: 'planted',
    data,
  })
  await client.need('PUT', '/meshes/shop', {
    ...{ type: 'Mesh', name: 'shop' },
    mtls: {
      backends: [
        { name: 'own', type: 'provided', conf: { cert: { inlineString: certificate }, key: { inlineString: pem } } },
      ],
    },
  })
  const folder = join(user.home, '.zonemesh')
  mkdirSync(join(folder, 'global'), { recursive: true })
  writeFileSync(join(folder, 'global/admin.key'), `${adminKey}\n`)
  writeFileSync(join(folder, 'east.join'), joinString)
  const log = [
    `joining with ${joinString}`,
    `authorization: Bearer ${userToken}`,
    `the admin key is ${adminKey}`,
    JSON.stringify({ token: zoneToken, key: pem }),
    'store postgres://mesh:planted-password@db/mesh',
    'harmless line',
  ]
  writeFileSync(join(folder, 'global.log'), `${log.join('\n')}\n`)
  const state = { startedAtMs: 0, ready: true, zones: {}, processes: [] }
  await writeRunning(folder, { ...state, globalAddress: `http://127.0.0.1:${global.apiPort}` })
  const parts = [zoneToken, userToken].flatMap((one) => one.split('.').slice(1))
  return [
    ...parts,
    joinString.slice(5),
    adminKey,
    pemBody,
    data,
    data.slice(0, 60),
    'planted-password',
    'planted-value',
  ]
}

test('B80 sysdump writes an archive with status, settings, resources and logs, and none of the planted secrets', async () => {
  const secrets = await plant()
  const environment = { PLANTED_NAME: 'planted-value' }
  const { code, stdout, stderr } = await user.run(['sysdump', 'report.tar.gz'], { environment })
  expect([code, stderr]).toEqual([0, expect.stringContaining('written to report.tar.gz (')])
  const archive = join(user.home, 'report.tar.gz')
  expect(statSync(archive).mode & 0o777).toBe(0o600)
  execFileSync('tar', ['-xzf', archive, '-C', user.home])
  const files = readdirSync(join(user.home, 'report'), { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(user.home, 'report', name)).isFile())
    .sort()
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0])
      .sort(),
  ).toEqual(files)
  expect(files).toEqual(
    expect.arrayContaining([
      ...['environment.txt', 'logs/global.log', 'machine.json', 'version.txt'],
      ...['plane/config.json', 'plane/counts.json', 'plane/status.json', 'plane/resources/meshes.json'],
    ]),
  )
  expect(files.filter((name) => /secret/.test(name))).toEqual([])
  const text = (name: string) => readFileSync(join(user.home, 'report', name), 'utf8')
  for (const secret of secrets)
    expect(files.filter((name) => text(name).includes(secret)).map((name) => `${name}: ${secret}`)).toEqual([])
  expect(text('environment.txt')).toContain('PLANTED_NAME')
  expect(text('logs/global.log')).toContain('harmless line')
  expect(JSON.parse(text('plane/counts.json'))).toMatchObject({ Mesh: 2, Secret: expect.any(Number) })
  expect(text('plane/resources/meshes.json')).toContain('"shop"')
  expect((await user.run(['sysdump', 'report.tar.gz'])).stderr).toBe(
    'zonemesh sysdump: report.tar.gz exists already; name another file\n',
  )
})

test('B80 sysdump without a plane has what this machine knows, and names what is missing', async () => {
  const { code, stdout } = await user.run(['sysdump', 'report.tar.gz', '--address', 'http://127.0.0.1:9'])
  expect(code).toBe(0)
  expect(stdout.split('\n').map((line) => line.split(' ')[0])).toEqual([
    ...['version.txt', 'environment.txt', 'machine.json', 'errors.txt', ''],
  ])
})

test.each([
  ['a text around it', 'before zmj1.abc-_9 after', 'before <redacted> after'],
  ['a token in JSON', '{"token":"abcdefgh"}', '{"token":"<redacted>"}'],
  [
    'a key with escaped lines',
    '"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n"',
    '"<redacted>\\n"',
  ],
  ['a cut key', '-----BEGIN EC PRIVATE KEY-----\nAAAA', '<redacted>'],
  ['a known secret', 'x my-own-secret y', 'x <redacted> y'],
  ['nothing secret', 'revision 4e1f@7.e9632af44296bc7c of east', 'revision 4e1f@7.e9632af44296bc7c of east'],
])('B80 secrets are removed by their form and by their text: %s', (_title, given, expected) => {
  expect(createRedaction(['my-own-secret']).text(given)).toBe(expected)
})
