import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dump } from '../src/commands/dump.ts'
import { sync } from '../src/commands/sync.ts'
import { type Rig, runCommand, startGlobalRig, startRelay, timeout } from './command-rig.ts'

let rig: Rig
let folder: string

beforeEach(async () => {
  rig = await startGlobalRig()
  folder = join(rig.folder, 'mesh')
})
afterEach(() => rig[Symbol.asyncDispose]())

const write = (...documents: readonly object[]) => rig.client.need('POST', '/_commit', { documents, atomic: true })
const secret = { type: 'Secret', mesh: 'default', name: 's', data: 'aGVsbG8=' }
const permission = {
  type: 'MeshTrafficPermission',
  mesh: 'shop',
  name: 'allow',
  spec: { from: [{ targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } }] },
}
const scene = [
  { type: 'Mesh', name: 'shop' },
  { type: 'Zone', name: 'east' },
  timeout('a', { labels: { team: 'a' } }),
  timeout('b'),
  timeout('c', { mesh: 'shop', labels: { team: 'a' } }),
  permission,
  secret,
]
const names = async (path: string): Promise<string[]> => {
  // The plane answers with its own list type.
  const { items } = (await rig.client.need('GET', path)).json as { items: { mesh?: string; name: string }[] }
  return items.map(({ mesh, name }) => (mesh === undefined ? name : `${mesh}/${name}`))
}
const head = async (): Promise<unknown> =>
  Reflect.get(Object((await rig.client.need('GET', '/_status')).json), 'revision')
const filesOf = (path: string) =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort()
const change = (path: string, from: string, to: string) => {
  const file = join(folder, path)
  const text = readFileSync(file, 'utf8')
  expect(text).toContain(from)
  writeFileSync(file, text.replace(from, to))
}

test('B61 dump writes one file for each resource that users write, without keys of the plane and without secrets', async () => {
  await write(...scene)
  // A token makes the plane create its signing key, which is a GlobalSecret.
  await rig.client.need('POST', '/tokens/zone', { zone: 'east', scope: ['cp'], validFor: '1h' })
  expect((await rig.run(dump, folder, '-A')).printed).toEqual([`wrote 7 resources to ${folder}`])
  expect(filesOf(folder)).toEqual([
    'global/zones/east.yaml',
    'meshes/default/mesh.yaml',
    'meshes/default/timeouts/a.yaml',
    'meshes/default/timeouts/b.yaml',
    'meshes/shop/mesh.yaml',
    'meshes/shop/meshtrafficpermissions/allow.yaml',
    'meshes/shop/timeouts/c.yaml',
    'zonemesh-dump.json',
    'zonemesh.schema.json',
  ])
  expect(readFileSync(join(folder, 'meshes/default/timeouts/a.yaml'), 'utf8')).toBe(
    `# yaml-language-server: $schema=../../../zonemesh.schema.json
type: Timeout
mesh: default
name: a
labels:
  team: a
sources:
  - match:
      kuma.io/service: "*"
destinations:
  - match:
      kuma.io/service: web
conf:
  connectTimeout: 1s
`,
  )
})

test('B61 dump --with-secrets writes the data of secrets into files that only their owner reads', async () => {
  await write(...scene)
  await rig.run(dump, folder, '-A', '--with-secrets')
  const path = join(folder, 'meshes/default/secrets/s.yaml')
  expect(readFileSync(path, 'utf8')).toContain('data: aGVsbG8=')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(filesOf(folder).filter((name) => name.includes('signing-key'))).toEqual([])
})

test.each([
  ['all meshes', ['-A']],
  ['one mesh', ['--mesh', 'shop']],
  ['a selector', ['-A', '-l', 'team=a']],
  ['secrets', ['-A', '--with-secrets']],
] as const)('B62 a sync after a dump changes nothing: %s', async (_title, args) => {
  await write(...scene)
  await rig.run(dump, folder, ...args)
  const before = await head()
  const { code, printed, notes } = await rig.run(sync, folder, '--yes')
  expect([code, notes, printed]).toEqual([0, [], [expect.stringMatching(/^no change: \d+ unchanged$/)]])
  expect(await head()).toBe(before)
  // A second dump gives the same files.
  const files = filesOf(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  await rig.run(dump, folder, ...args)
  expect(filesOf(folder).map((name) => readFileSync(join(folder, name), 'utf8'))).toEqual(files)
})

test('B62 sync creates, changes and deletes what differs in one commit, and --dry-run only shows it', async () => {
  await write(...scene)
  await rig.run(dump, folder, '-A')
  change('meshes/default/timeouts/a.yaml', 'connectTimeout: 1s', 'connectTimeout: 3s')
  rmSync(join(folder, 'meshes/default/timeouts/b.yaml'))
  writeFileSync(join(folder, 'meshes/shop/timeouts/new.yaml'), JSON.stringify(timeout('new', { mesh: 'shop' })))
  const before = Number(await head())
  const dry = await rig.run(sync, folder, '--dry-run')
  expect(dry.code).toBe(0)
  expect(dry.printed).toEqual(expect.arrayContaining(['+  connectTimeout: 3s', '+++ (absent) no file']))
  expect(dry.printed.at(-1)).toBe('1 created, 1 updated, 1 deleted, 5 unchanged')
  expect(await head()).toBe(before)
  await expect(rig.run(sync, folder)).rejects.toThrow('nothing was written: confirm the changes with --yes')
  expect(await head()).toBe(before)
  const { code, printed } = await rig.run(sync, folder, '--yes')
  expect([code, printed.slice(-4)]).toEqual([
    0,
    [
      'Timeout default/a: updated',
      'Timeout shop/new: created',
      'Timeout default/b: deleted',
      expect.stringMatching(/^revision /),
    ],
  ])
  expect([await names('/timeouts'), await head()]).toEqual([['default/a', 'shop/c', 'shop/new'], before + 1])
})

test('B63 sync never deletes what the folder could not hold: other meshes, labels, kinds, Meshes, Zones and keys', async () => {
  await write(...scene)
  await rig.run(dump, folder, '-A')
  // Resources that are written after the dump, of a mesh that the folder does not have.
  await write({ type: 'Mesh', name: 'later' }, timeout('kept', { mesh: 'later' }), { type: 'Zone', name: 'west' })
  rmSync(join(folder, 'global'), { recursive: true })
  rmSync(join(folder, 'meshes/shop/mesh.yaml'))
  const { code, printed, notes } = await rig.run(sync, folder, '--yes')
  expect([code, printed]).toEqual([0, ['no change: 5 unchanged']])
  expect([...notes].sort()).toEqual([
    'Mesh later: left as it is: much else is deleted with a Mesh: delete it by name',
    'Mesh shop: left as it is: much else is deleted with a Mesh: delete it by name',
    'Timeout later/kept: left as it is: the folder has no files of mesh "later"',
    'Zone east: left as it is: much else is deleted with a Zone: delete it by name',
    'Zone west: left as it is: much else is deleted with a Zone: delete it by name',
  ])
  expect(await names('/secrets')).toEqual(['default/s'])
  const labelled = join(rig.folder, 'labelled')
  await rig.run(dump, labelled, '--mesh', 'default', '-l', 'team=a')
  await write(timeout('another', { labels: { team: 'a' } }), timeout('other', { labels: { team: 'b' } }))
  const second = await rig.run(sync, labelled, '--yes')
  expect(second.printed).toContain('Timeout default/another: deleted')
  expect(await names('/timeouts')).toEqual(['default/a', 'default/b', 'default/other', 'later/kept', 'shop/c'])
  // A secret that the plane itself made of an inline key is no resource of the folder.
  await rig.run(dump, join(rig.folder, 'secrets'), '-A', '--with-secrets')
  await write({ ...secret, name: 'made', labels: { 'zonemesh.io/inline': 'yes' } })
  expect((await rig.run(sync, join(rig.folder, 'secrets'), '--yes')).printed.at(-1)).toMatch(/^no change/)
})

test('B63 sync writes nothing if a file cannot be used, if it is outside of the dump, or if the folder is no dump', async () => {
  await write(...scene)
  await rig.run(dump, folder, '--mesh', 'default', '-l', 'team=a')
  const before = await head()
  const file = join(folder, 'meshes/default/timeouts/x.yaml')
  for (const [text, reason] of [
    ['type: [', 'x.yaml:1: '],
    ['type: Timeout\nmesh: default\nname: x\nlabels: { team: a }\n', 'conf: has to be defined'],
    [JSON.stringify(timeout('x', { labels: { team: 'b' } })), 'expected the label team=a, as the dump has, found b'],
    [JSON.stringify(timeout('x', { mesh: 'shop', labels: { team: 'a' } })), 'as the dump has, found mesh shop'],
    [JSON.stringify(secret), 'found Secret'],
    [JSON.stringify(timeout('a', { labels: { team: 'a' } })), 'this resource is also in '],
  ] as const) {
    writeFileSync(file, text)
    const failed = rig.run(sync, folder, '--yes')
    await expect(failed).rejects.toThrow(reason)
    await expect(failed).rejects.toThrow(/^nothing was written: /)
  }
  rmSync(join(folder, 'meshes'), { recursive: true })
  await expect(rig.run(sync, folder, '--yes')).rejects.toThrow('nothing was written: the folder has no resources')
  await expect(rig.run(sync, rig.folder, '--yes')).rejects.toThrow('has no zonemesh-dump.json: expected a folder that')
  writeFileSync(join(folder, 'zonemesh-dump.json'), '{}')
  await expect(rig.run(sync, folder, '--yes')).rejects.toThrow('cannot be read as the manifest of a dump')
  expect(await head()).toBe(before)
})

test.each([
  ['deletes', 'b'],
  ['changes', 'a'],
] as const)('B63 sync writes nothing if somebody changes a resource that it %s after the plan', async (_what, name) => {
  await write(...scene)
  await rig.run(dump, folder, '-A')
  change('meshes/default/timeouts/a.yaml', 'connectTimeout: 1s', 'connectTimeout: 3s')
  rmSync(join(folder, 'meshes/default/timeouts/b.yaml'))
  await using relay = await startRelay(rig, async (path, body) => {
    if (path === '/_commit' && !body.includes('"dryRun":true')) await write(timeout(name, { connect: '9s' }))
  })
  await expect(runCommand(sync, [folder, '--yes', '--address', relay.address])).rejects.toThrow(
    new RegExp(`nothing was written: changed after .*: Timeout "${name}"`),
  )
  expect(await names('/timeouts')).toEqual(['default/a', 'default/b', 'shop/c'])
})

test('B62 a sync of more resources than one commit takes sends only those that differ', async () => {
  const many = Array.from({ length: 1_200 }, (_, index) => timeout(`t${index}`))
  await write(...many.slice(0, 1_000))
  await write(...many.slice(1_000))
  await rig.run(dump, folder)
  change('meshes/default/timeouts/t7.yaml', 'connectTimeout: 1s', 'connectTimeout: 3s')
  const { printed } = await rig.run(sync, folder, '--yes')
  expect(printed).toContain('1 updated, 1200 unchanged')
  expect((await rig.run(sync, folder, '--yes')).printed).toEqual(['no change: 1201 unchanged'])
})

test('B63 sync refuses to delete very many resources unless --yes-remove-many is given', async () => {
  await write(...Array.from({ length: 20 }, (_, index) => timeout(`t${index}`)))
  await rig.run(dump, folder)
  rmSync(join(folder, 'meshes/default/timeouts'), { recursive: true })
  const refused = await rig.run(sync, folder, '--yes')
  expect([refused.code, refused.notes]).toEqual([
    1,
    ['it removes 20 of 20 Timeout: confirm that with --yes-remove-many'],
  ])
  expect(await names('/timeouts')).toHaveLength(20)
  expect((await rig.run(sync, folder, '--yes', '--yes-remove-many')).code).toBe(0)
  expect(await names('/timeouts')).toEqual([])
})

test('B61 dump refuses a folder with other files, and removes only its own former files', async () => {
  mkdirSync(folder)
  writeFileSync(join(folder, 'mine.txt'), 'x')
  await expect(rig.run(dump, folder)).rejects.toThrow(`${folder} has files that are no dump`)
  rmSync(join(folder, 'mine.txt'))
  await write(timeout('a'), timeout('b'))
  await rig.run(dump, folder)
  writeFileSync(join(folder, 'README.md'), 'mine')
  writeFileSync(join(folder, 'meshes/default/timeouts/mine.yaml'), JSON.stringify(timeout('other')))
  await rig.client.need('DELETE', '/meshes/default/timeouts/b')
  const { printed } = await rig.run(dump, folder)
  expect(printed[0]).toBe(`removed ${join(folder, 'meshes/default/timeouts/b.yaml')}`)
  expect(['README.md', 'meshes/default/timeouts/mine.yaml'].map((name) => existsSync(join(folder, name)))).toEqual([
    true,
    true,
  ])
})
