import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { apply } from '../src/commands/apply.ts'
import { diff } from '../src/commands/diff.ts'
import { type Rig, runCommand, startGlobalRig, startRelay, timeout } from './command-rig.ts'

let rig: Rig

beforeEach(async () => {
  rig = await startGlobalRig()
})
afterEach(() => rig[Symbol.asyncDispose]())

const write = (...documents: readonly object[]) => rig.client.need('POST', '/_commit', { documents, atomic: true })
function fileOf(...documents: readonly (object | string)[]): string {
  const path = join(rig.folder, 'set.yaml')
  writeFileSync(path, documents.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n---\n'))
  return path
}
const names = async (path = '/timeouts'): Promise<string[]> => {
  // The plane answers with its own list type.
  const { items } = (await rig.client.need('GET', path)).json as { items: { name: string }[] }
  return items.map(({ name }) => name)
}
const head = async (): Promise<unknown> =>
  Reflect.get(Object((await rig.client.need('GET', '/_status')).json), 'revision')
const set = (...args: string[]) => ['--apply-set', 'shop', ...args]

test('B64 apply --prune deletes the resources of the set that the files no longer have, in the same commit', async () => {
  await write(timeout('by-hand'), timeout('of-another', { labels: { 'zonemesh.io/apply-set': 'other' } }))
  const retry = {
    type: 'Retry',
    mesh: 'default',
    name: 'r',
    sources: timeout('r').sources,
    destinations: timeout('r').destinations,
    conf: { http: { numRetries: 2 } },
  }
  const secret = { type: 'Secret', mesh: 'default', name: 's', data: 'eA==' }
  await rig.run(apply, '-f', fileOf(timeout('a'), timeout('b'), retry, secret), ...set())
  const before = Number(await head())
  const file = fileOf(timeout('a', { connect: '2s' }))
  const dry = await rig.run(apply, '-f', file, ...set('--prune', '--dry-run'))
  expect(dry.printed).toEqual(expect.arrayContaining(['--- Timeout default/b now', '+++ (absent) pruned']))
  expect(dry.printed.at(-1)).toBe('1 updated, 3 deleted; nothing was written (--dry-run)')
  expect(await head()).toBe(before)
  const { code, printed } = await rig.run(apply, '-f', file, ...set('--prune'))
  expect([code, printed]).toEqual([
    0,
    [
      'Timeout default/a: updated',
      'Secret default/s: deleted',
      'Timeout default/b: deleted',
      'Retry default/r: deleted',
      expect.stringMatching(/^revision /),
    ],
  ])
  expect(await head()).toBe(before + 1)
  expect([await names(), await names('/retries'), await names('/secrets')]).toEqual([
    ['a', 'by-hand', 'of-another'],
    [],
    [],
  ])
})

test('B64 apply --apply-set without --prune deletes nothing, and a resource written by hand joins the set with its file', async () => {
  await write(timeout('a'))
  expect((await rig.run(apply, '-f', fileOf(timeout('a'), timeout('b')), ...set())).printed[0]).toBe(
    'Timeout default/a: updated',
  )
  await rig.run(apply, '-f', fileOf(timeout('a')), ...set())
  expect(await names()).toEqual(['a', 'b'])
  expect((await rig.run(apply, '-f', fileOf(timeout('a')), ...set())).printed[0]).toBe('Timeout default/a: unchanged')
  expect((await rig.run(diff, '-f', fileOf(timeout('a')), ...set())).printed).toEqual([])
  expect((await rig.run(diff, '-f', fileOf(timeout('a')))).text).toContain('-  zonemesh.io/apply-set: shop')
  const file = fileOf(timeout('a'))
  expect((await rig.run(diff, '-f', file, ...set())).printed).toEqual([])
  // Without the set, the file has no label of it.
  expect((await rig.run(diff, '-f', file)).text).toContain('-  zonemesh.io/apply-set: shop')
})

test.each([
  ['a document that is no YAML', 'type: ['],
  ['a document that admission refuses', { ...timeout('b'), conf: { connectTimeout: 'soon' } }],
  ['a document that the plane refuses', timeout('c', { mesh: 'none' })],
] as const)('B65 a prune writes and deletes nothing because of %s', async (_title, bad) => {
  await rig.run(apply, '-f', fileOf(timeout('a'), timeout('b')), ...set())
  const before = await head()
  const { code, notes } = await rig.run(apply, '-f', fileOf(timeout('a', { connect: '2s' }), bad), ...set('--prune'))
  expect([code, notes.at(-1)]).toEqual([1, expect.stringMatching(/^nothing was (sent|written) \(--prune\)$/)])
  expect([await names(), await head()]).toEqual([['a', 'b'], before])
})

test('B65 a prune writes nothing if somebody changes a resource that it deletes after the plan', async () => {
  await rig.run(apply, '-f', fileOf(timeout('a'), timeout('b')), ...set())
  await using relay = await startRelay(rig, async (path, body) => {
    if (path === '/_commit' && !body.includes('"dryRun":true')) await write(timeout('b', { connect: '9s' }))
  })
  const args = ['-f', fileOf(timeout('a')), ...set('--prune'), '--address', relay.address]
  await expect(runCommand(apply, args)).rejects.toThrow(/nothing was written: changed after .*: Timeout "b"/)
  expect(await names()).toEqual(['a', 'b'])
})

test('B65 a prune deletes no Mesh and no Zone, and the guard for very many deletions holds', async () => {
  const many = Array.from({ length: 20 }, (_, index) => timeout(`t${index}`))
  await rig.run(apply, '-f', fileOf({ type: 'Mesh', name: 'shop' }, { type: 'Zone', name: 'east' }, ...many), ...set())
  const last = fileOf(timeout('last'))
  const dry = await rig.run(apply, '-f', last, ...set('--prune', '--dry-run'))
  expect(dry.notes).toEqual([
    'Mesh shop: left as it is: much else is deleted with a Mesh: delete it by name',
    'Zone east: left as it is: much else is deleted with a Zone: delete it by name',
    'it removes 20 of 20 Timeout: confirm that with --yes-remove-many',
  ])
  await expect(rig.run(apply, '-f', last, ...set('--prune'))).rejects.toThrow(/^Many resources would be removed/)
  expect(await names()).toHaveLength(20)
  expect((await rig.run(apply, '-f', last, ...set('--prune', '--yes-remove-many'))).code).toBe(0)
  expect([await names(), await names('/zones'), await names('/meshes')]).toEqual([
    ['last'],
    ['east'],
    ['default', 'shop'],
  ])
})

test.each([
  ['no set', ['--prune'], /^--prune: expected --apply-set NAME beside it$/],
  ['a bad name', ['--apply-set', 'A b', '--prune'], /^--apply-set: expected a name of lower-case letters/],
  [
    'another set',
    ['--apply-set', 'other'],
    /^nothing was written: Timeout default\/a: belongs to the apply set "shop"/,
  ],
] as const)('B65 apply refuses wrong sets: %s', async (_title, args, message) => {
  await rig.run(apply, '-f', fileOf(timeout('a')), ...set())
  await expect(rig.run(apply, '-f', fileOf(timeout('a')), ...args)).rejects.toThrow(message)
  const labelled = fileOf(timeout('b', { labels: { 'zonemesh.io/apply-set': 'third' } }))
  await expect(rig.run(apply, '-f', labelled, ...set())).rejects.toThrow(
    /expected no other apply set than "shop", found "third"/,
  )
})
