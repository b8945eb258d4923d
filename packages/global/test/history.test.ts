import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { timeout } from '../../plane/test/api/routes.ts'
import { createPair } from '../../plane/test/pki.ts'
import { type RunningGlobal, startGlobal } from '../src/global.ts'
import { globalOptions } from '../src/options.ts'
import { startBareZone } from './bare-zone.ts'

let folder: string
let global: RunningGlobal

async function start(...more: string[]): Promise<void> {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const read = readOptions(globalOptions, ['--host', '127.0.0.1', ...ports, '--data-dir', folder, ...more], {})
  if (!read.ok) throw new Error(read.error.message)
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  global = await startGlobal(env, read.value.values, globalOptions)
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-history-'))
  await start()
})
afterEach(async () => {
  await global.close()
  rmSync(folder, { recursive: true, force: true })
})

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${global.apiPort}${path}`, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const revision = response.headers.get('zonemesh-revision') ?? ''
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text) : undefined
  return { status: response.status, text, json, revision, short: shortOf(revision) }
}

/** `<store>@12.<commit id>` → `@12`. */
const shortOf = (revision: string): string => /@\d+/.exec(revision)?.[0] ?? ''

const ada = { name: 'ada', groups: ['mesh-system:admin'], validFor: '1h' }
/** A caller that is not the admin of localhost. */
const remote = { 'x-forwarded-for': '203.0.113.9' }

async function put(name: string, connect: string, mesh = 'default') {
  const answer = await call('PUT', `/meshes/${mesh}/timeouts/${name}`, timeout(name, connect, mesh))
  expect(answer.status).toBeLessThan(300)
  return answer
}

const nameOf = ({ name }: { name: string }) => name
const connectOf = async (name: string): Promise<string | undefined> =>
  (await call('GET', `/meshes/default/timeouts/${name}`)).json.conf?.connectTimeout

test('H2 the versions of a resource are newest first, with revision, time, author, reason and former values of changed fields', async () => {
  const created = await put('t', '1s')
  const changed = await put('t', '2s')
  const removed = await call('DELETE', '/meshes/default/timeouts/t')
  const answer = await call('GET', '/_history?kind=Timeout&name=t')
  expect(answer.json).toMatchObject({ type: 'Timeout', mesh: 'default', name: 't', total: 3, horizon: '@0' })
  expect(answer.json.items).toEqual([
    {
      short: removed.short,
      revision: removed.revision,
      when: expect.stringMatching(/^\d{4}-.*Z$/),
      who: 'mesh-system:admin',
      why: 'DELETE Timeout t',
      what: 'deleted',
      changes: [],
    },
    expect.objectContaining({
      revision: changed.revision,
      why: 'PUT Timeout t',
      what: 'changed',
      changes: [{ field: 'conf.connectTimeout', before: '1s', after: '2s' }],
    }),
    expect.objectContaining({ revision: created.revision, what: 'created', changes: [] }),
  ])
})

test('H2 the author is the subject of the token of the write', async () => {
  const issued = await call('POST', '/tokens/user', ada)
  const bearer = { ...remote, authorization: `Bearer ${issued.text}` }
  await call('PUT', '/meshes/default/timeouts/t', timeout('t', '1s'), bearer)
  expect((await call('GET', '/_history?kind=Timeout&name=t', undefined, remote)).json.items[0].who).toBe('ada')
})

test('H3 an unknown kind or name is refused with the nearest known one', async () => {
  await put('edge', '1s')
  expect((await call('GET', '/_history?kind=Timeoutt&name=x')).json.detail).toMatch(/did you mean "Timeout"/)
  const answer = await call('GET', '/_history?kind=Timeout&name=edgy')
  expect(answer.status).toBe(404)
  expect(answer.json.detail).toMatch(/^there is no Timeout "edgy" in mesh "default".*did you mean "edge"\?$/)
  expect((await call('GET', '/_history?name=edge')).status).toBe(400)
  // Internal rows have no history for users.
  expect((await call('GET', '/_history?kind=TokenKey&name=x')).status).toBe(400)
})

test('H4 without a resource the history lists commits, newest first and in pages, each with its resources', async () => {
  for (const name of ['a', 'b', 'c']) await put(name, '1s')
  const both = await call('POST', '/_commit', { documents: [timeout('a', '2s'), timeout('d', '2s')], intent: 'try it' })
  const first = (await call('GET', '/_history?limit=2')).json
  expect(first.items[0]).toMatchObject({
    short: both.short,
    revision: both.revision,
    who: 'mesh-system:admin',
    why: 'try it',
    rows: 2,
    resources: [
      { type: 'Timeout', mesh: 'default', name: 'a', what: 'changed' },
      { type: 'Timeout', mesh: 'default', name: 'd', what: 'created' },
    ],
  })
  expect(first.items[1].resources.map(nameOf)).toEqual(['c'])
  const second = (await call('GET', `/_history?limit=100&before=${first.next}`)).json
  expect(second.items.map((one: { resources: { name: string }[] }) => one.resources.map(nameOf))).toEqual([
    ['b'],
    ['a'],
    ['default'],
  ])
  expect(second.next).toBeNull()
  const ofMesh = (await call('GET', '/_history?kind=Mesh')).json
  expect(ofMesh.items).toHaveLength(1)
  expect((await call('GET', '/_history?limit=0')).status).toBe(400)
})

test('H4 commits of the planes themselves are listed only on request', async () => {
  await call('POST', '/tokens/zone', { zone: 'east', scope: ['cp'], validFor: '1h' })
  const all = (await call('GET', '/_history?all=true')).json.items
  const shown = (await call('GET', '/_history', undefined, remote)).json.items
  expect(shown.map((one: { why: string }) => one.why)).toEqual(['create the default Mesh'])
  expect(all.map((one: { why: string }) => one.why)).toContain('create the token signing key of zone')
})

test('H5 the difference of two revisions lists created, changed and deleted resources with both documents, in both directions', async () => {
  await put('changed', '1s')
  await put('deleted', '1s')
  const from = (await put('back-again', '1s')).short
  await put('back-again', '9s')
  await put('changed', '2s')
  await put('created', '1s')
  await call('DELETE', '/meshes/default/timeouts/deleted')
  const to = (await put('back-again', '1s')).short
  const there = (await call('GET', `/_diff?from=${from}&to=${to}`)).json
  expect(there).toMatchObject({ from, to, total: 3 })
  expect(there.items).toEqual([
    {
      type: 'Timeout',
      mesh: 'default',
      name: 'changed',
      change: 'changed',
      before: { ...timeout('changed', '1s'), labels: { 'kuma.io/mesh': 'default' } },
      after: { ...timeout('changed', '2s'), labels: { 'kuma.io/mesh': 'default' } },
      fields: [{ field: 'conf.connectTimeout', before: '1s', after: '2s' }],
    },
    expect.objectContaining({ name: 'created', change: 'created', after: expect.anything(), fields: [] }),
    expect.objectContaining({ name: 'deleted', change: 'deleted', before: expect.anything(), fields: [] }),
  ])
  const back = (await call('GET', `/_diff?from=${to}&to=${from}`)).json.items
  expect(back.map((one: { change: string }) => one.change)).toEqual(['changed', 'deleted', 'created'])
  expect((await call('GET', `/_diff?from=${from}&kind=Timeout&name=created`)).json.items).toHaveLength(1)
  expect((await call('GET', `/_diff?from=${from}&mesh=other`)).json.items).toEqual([])
})

test('H6 a revision can be given in full, short, as the head, or counted back', async () => {
  const one = await put('t', '1s')
  const two = await put('t', '2s')
  await put('other', '1s')
  const total = async (query: string) => (await call('GET', `/_diff?${query}`)).json
  expect(await total(`from=${encodeURIComponent(one.revision)}&to=${two.short}`)).toMatchObject({
    from: one.short,
    to: two.short,
    total: 1,
  })
  expect(await total('from=@-1')).toMatchObject({ from: two.short, total: 1, items: [{ name: 'other' }] })
  expect(await total('from=@-1&to=@head&kind=Timeout&name=t')).toMatchObject({ from: one.short, total: 1 })
})

test.each([
  ['12', 400, /expected a revision such as @12, @-1, @head or <store>@<revision>\.<commit id>, found "12"/],
  ['@999', 404, /@999 does not exist yet; the newest revision is @1/],
  ['@-9', 404, /@-9: the kept history does not reach back so far/],
  ['other-store@1.0123456789abcdef', 400, /belongs to another store; the store of this control plane is/],
])('H6 an invalid revision is refused in one sentence: %s', async (text, status, detail) => {
  const answer = await call('GET', `/_diff?from=${encodeURIComponent(text)}`)
  expect(answer.json.detail).toMatch(detail)
  expect(answer.status).toBe(status)
})

test('H6 a commit id that does not match the revision is refused with a reason of its own', async () => {
  const { revision } = await put('t', '1s')
  const forged = revision.replace(/\.[0-9a-f]+$/, '.0123456789abcdef')
  const answer = await call('GET', `/_diff?from=${encodeURIComponent(forged)}`)
  expect(answer).toMatchObject({ status: 404, json: { detail: expect.stringContaining('has another commit') } })
})

test('H7 a revision below the horizon returns 410 with the horizon and the setting, and newer versions are shown without what is lost', async () => {
  await global.close()
  await start('--history-revisions', '100')
  const first = await put('old', '1s')
  for (let index = 0; index < 140; index += 1) await put('busy', `${index + 1}s`)
  const { json } = await call('GET', '/_history?kind=Timeout&name=busy')
  const horizon = Number(json.horizon.slice(1))
  expect(horizon).toBeGreaterThan(10)
  expect(json.items.at(-1)).toMatchObject({ what: 'changed' })
  expect(json.items.at(-1)).not.toHaveProperty('changes')
  for (const answer of [
    await call('GET', `/_diff?from=${first.short}`),
    await call('POST', '/_rollback', { to: first.short }),
  ]) {
    expect(answer.status).toBe(410)
    expect(answer.json.detail).toBe(
      `${first.short} is older than the history of this control plane, which begins at @${horizon}; the setting --history-revisions determines how much is kept`,
    )
  }
  // A version that is unchanged since then is still listed with its time.
  const old = (await call('GET', '/_history?kind=Timeout&name=old')).json
  expect(old.items).toEqual([{ short: first.short, when: expect.any(String), what: 'created', changes: [] }])
  const commits = (await call('GET', '/_history?limit=1000')).json
  expect(commits).toMatchObject({ next: null, horizon: json.horizon })
  expect((await call('GET', `/_diff?from=@${horizon}`)).status).toBe(200)
})

test('H8 the history shows secrets only as hashes, and only to administrators', async () => {
  const data = Buffer.from('hush').toString('base64')
  const secret = (value: string) => ({ type: 'Secret', mesh: 'default', name: 's', data: value })
  const from = (await call('PUT', '/meshes/default/secrets/s', secret(data))).short
  await call('PUT', '/meshes/default/secrets/s', secret(Buffer.from('other').toString('base64')))
  const hash = expect.stringMatching(/^sha256:[0-9a-f]{16}$/)
  const diff = await call('GET', `/_diff?from=${from}`)
  expect(diff.json.items).toMatchObject([{ type: 'Secret', fields: [{ field: 'hash', before: hash, after: hash }] }])
  const history = await call('GET', '/_history?kind=Secret&name=s')
  expect(history.json.items[0].changes).toEqual([{ field: 'hash', before: hash, after: hash }])
  const texts = JSON.stringify([diff.json, history.json, (await call('GET', '/_history')).json])
  for (const closed of [data, 'sealed', 'hush']) expect(texts).not.toContain(closed)
  expect((await call('GET', '/_history?kind=Secret&name=s', undefined, remote)).status).toBe(403)
  expect((await call('GET', `/_diff?from=${from}`, undefined, remote)).json.items).toEqual([])
  expect((await call('GET', '/_history', undefined, remote)).text).not.toContain('Secret')
  expect((await call('GET', '/_history?all=true', undefined, remote)).status).toBe(403)
})

test('H9 a rollback restores everything in one commit, and can itself be rolled back', async () => {
  await put('changed', '1s')
  const to = (await put('deleted', '1s')).short
  await put('changed', '2s')
  await put('created', '1s')
  const later = await call('DELETE', '/meshes/default/timeouts/deleted')
  const answer = await call('POST', '/_rollback', { to })
  expect(answer.status).toBe(200)
  expect(answer.json.outcomes.map((one: { name: string; outcome: string }) => [one.name, one.outcome])).toEqual([
    ['changed', 'changed'],
    ['created', 'deleted'],
    ['deleted', 'created'],
  ])
  expect(answer.json.revision).toBe(answer.revision)
  expect((await call('GET', `/_diff?from=${to}`)).json.items).toEqual([])
  const [newest] = (await call('GET', '/_history?limit=1')).json.items
  expect(newest).toMatchObject({
    short: answer.short,
    who: 'mesh-system:admin',
    why: `rollback to ${to}`,
    rows: 3,
  })
  await call('POST', '/_rollback', { to: later.short })
  expect((await call('GET', `/_diff?from=${later.short}`)).json.items).toEqual([])
  // The state is already the target state, so there is no commit.
  const nothing = await call('POST', '/_rollback', { to: later.short })
  expect(nothing.json.outcomes).toEqual([])
  expect((await call('GET', '/_history?limit=1')).json.items[0].revision).toBe(nothing.json.revision)
})

test('H9 a rollback can be limited to a resource, a kind or a mesh', async () => {
  await put('a', '1s')
  const to = (await put('b', '1s')).short
  await put('a', '2s')
  await put('b', '2s')
  await call('POST', '/_rollback', { to, kind: 'Timeout', name: 'a' })
  expect([await connectOf('a'), await connectOf('b')]).toEqual(['1s', '2s'])
  await call('POST', '/_rollback', { to, kind: 'Retry' })
  expect(await connectOf('b')).toBe('2s')
  await call('POST', '/_rollback', { to, mesh: 'default' })
  expect(await connectOf('b')).toBe('1s')
  await call('POST', '/_rollback', { to: '@-1', kind: 'Timeout', name: 'b' })
  expect(await connectOf('b')).toBe('2s')
  expect((await call('POST', '/_rollback', { to, kind: 'Timeout', name: 'never' })).status).toBe(404)
})

test('H9 a dry run reports the same outcome and writes nothing', async () => {
  const to = (await put('t', '1s')).short
  const after = await put('t', '2s')
  const answer = await call('POST', '/_rollback', { to, dryRun: true })
  expect(answer.json).toMatchObject({ dryRun: true, outcomes: [{ name: 't', outcome: 'changed' }] })
  expect((await call('GET', '/_history?limit=1')).json.items[0].revision).toBe(after.revision)
})

test('H10 a rollback to resources that are not valid any more is refused with their fields, and writes nothing', async () => {
  const [own, other] = [await createPair({ authority: {} }), await createPair({ authority: {} })]
  const conf = { cert: { inlineString: own.certificate }, key: { secret: 'ca' } }
  const mesh = (backend: object) => ({ type: 'Mesh', name: 'secure', mtls: { backends: [backend] } })
  const key = (text: string) => ({ type: 'Secret', mesh: 'secure', name: 'ca', data: btoa(text) })
  await call('PUT', '/meshes/secure', { type: 'Mesh', name: 'secure' })
  await call('PUT', '/meshes/secure/secrets/ca', key(own.key))
  expect((await call('PUT', '/meshes/secure', mesh({ name: 'ca', type: 'provided', conf }))).status).toBe(200)
  const to = (await put('t', '1s')).short
  await call('PUT', '/meshes/secure', mesh({ name: 'ca', type: 'builtin' }))
  await call('PUT', '/meshes/secure/secrets/ca', key(other.key))
  const before = await put('t', '2s')
  const answer = await call('POST', '/_rollback', { to })
  expect(answer.status).toBe(400)
  expect(answer.json.outcomes).toMatchObject([
    { type: 'Mesh', name: 'secure', outcome: 'refused', violations: [{ field: 'mtls.backends[0].conf.cert' }] },
    { type: 'Secret', name: 'ca', outcome: 'skipped' },
    { type: 'Timeout', name: 't', outcome: 'skipped' },
  ])
  expect(await connectOf('t')).toBe('2s')
  expect((await call('GET', '/_history?limit=1')).json.items[0].revision).toBe(before.revision)
})

test('H11 a rollback restores a mesh with its resources, and removes a mesh with its resources', async () => {
  const before = (await put('t', '1s')).short
  await call('PUT', '/meshes/m', { type: 'Mesh', name: 'm' })
  const to = (await put('inner', '1s', 'm')).short
  await call('DELETE', '/meshes/m')
  expect((await call('POST', '/_rollback', { to })).status).toBe(200)
  expect((await call('GET', '/meshes/m/timeouts/inner')).status).toBe(200)
  expect((await call('POST', '/_rollback', { to: before })).status).toBe(200)
  expect((await call('GET', '/meshes/m')).status).toBe(404)
  expect((await call('GET', `/_diff?from=${before}`)).json.items).toEqual([])
})

test('H12 a rollback leaves keys of the plane and unnamed zones unchanged, and restores secrets as they were', async () => {
  const secret = (value: string) => ({ type: 'Secret', mesh: 'default', name: 's', data: btoa(value) })
  const to = (await call('PUT', '/meshes/default/secrets/s', secret('old'))).short
  await call('PUT', '/meshes/default/secrets/s', secret('new'))
  await call('PUT', '/zones/east', { type: 'Zone', name: 'east', enabled: true })
  const token = (await call('POST', '/tokens/user', ada)).text
  const answer = await call('POST', '/_rollback', { to })
  expect(answer.json.outcomes.map((one: { type: string }) => one.type)).toEqual(['Secret'])
  expect(answer.json.left).toEqual([
    { type: 'GlobalSecret', name: 'user-token-signing-key-1', reason: 'a signing key of this control plane' },
    expect.objectContaining({ type: 'Zone', name: 'east' }),
  ])
  expect((await call('GET', '/meshes/default/secrets/s')).json.data).toBe(btoa('old'))
  const bearer = { ...remote, authorization: `Bearer ${token}` }
  expect((await call('GET', '/who-am-i', undefined, bearer)).json.name).toBe('ada')
  expect((await call('POST', '/_rollback', { to, kind: 'Zone', name: 'east' })).json.outcomes).toMatchObject([
    { name: 'east', outcome: 'deleted' },
  ])
  const key = { to, kind: 'GlobalSecret', name: 'user-token-signing-key-1' }
  expect((await call('POST', '/_rollback', key)).json).toMatchObject({ outcomes: [], left: [{ name: key.name }] })
})

test('H13 every caller reads the history, and only an administrator rolls back', async () => {
  const to = (await put('t', '1s')).short
  await put('t', '2s')
  expect((await call('GET', '/_history', undefined, remote)).status).toBe(200)
  expect((await call('GET', `/_diff?from=${to}`, undefined, remote)).status).toBe(200)
  expect((await call('POST', '/_rollback', { to }, remote)).status).toBe(403)
  expect(await connectOf('t')).toBe('2s')
})

/** A zone without proxies, which can report stored revisions as served. */
async function joinZone(zone: string, isServing: boolean) {
  await call('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
  const token = (await call('POST', '/tokens/zone', { zone, scope: ['cp'], validFor: '1h' })).text.trim()
  const store = createMemoryStore({ clock: systemClock, random: systemRandom })
  return startBareZone(global, { zone, token, store, isServing })
}

test('H18 the history shows which zones stored and served a version and since when, also after a restart', async () => {
  await using _east = await joinZone('east', true)
  await using _west = await joinZone('west', false)
  const reached = async (revision: string, wait: string) => {
    const path = `/_receipts/${encodeURIComponent(revision)}?wait=${wait}&timeout=10s`
    expect((await call('GET', path)).json).toMatchObject({ complete: true })
  }
  const zonesOf = async () =>
    (await call('GET', '/_history?kind=Timeout&name=t')).json.items.map((one: { zones: unknown }) => one.zones)
  const time = expect.stringMatching(/^\d{4}-.*Z$/)
  for (const connect of ['1s', '2s']) {
    const { revision } = await put('t', connect)
    await reached(revision, 'served@east')
    await reached(revision, 'stored@all')
  }
  const known = await zonesOf()
  expect(known).toEqual([
    [
      { zone: 'east', state: 'served', storedAt: time, servedAt: time },
      { zone: 'west', state: 'stored', storedAt: time },
    ],
    [
      { zone: 'east', state: 'served', storedAt: time, servedAt: time, servedUntil: time },
      { zone: 'west', state: 'stored', storedAt: time },
    ],
  ])
  await global.close()
  await start()
  expect(await zonesOf()).toEqual(known)
})
