import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { apply } from '../src/commands/apply.ts'
import { diff } from '../src/commands/diff.ts'
import { download } from '../src/files/download.ts'
import { type Rig, startGlobalRig, timeout } from './command-rig.ts'

let rig: Rig

beforeEach(async () => {
  rig = await startGlobalRig()
})
afterEach(() => rig[Symbol.asyncDispose]())

const write = (...documents: readonly object[]) => rig.client.need('POST', '/_commit', { documents, atomic: true })
const head = async (): Promise<unknown> =>
  Reflect.get(Object((await rig.client.need('GET', '/_status')).json), 'revision')

/** Writes documents into a file of the rig's folder, as YAML, which JSON is a part of. */
function fileOf(name: string, ...documents: readonly object[]): string {
  const path = join(rig.folder, name)
  writeFileSync(path, documents.map((one) => JSON.stringify(one)).join('\n---\n'))
  return path
}

const patchOf = (path: string) => [
  '--- Timeout default/t now',
  `+++ Timeout default/t ${path}:1`,
  '@@ -10,4 +10,4 @@',
  '   - match:',
  '       kuma.io/service: web',
  ' conf:',
  '-  connectTimeout: 1s',
  '+  connectTimeout: 2s',
]

test('B54 diff -f shows what apply would change, and its exit code reports a difference with --exit-code', async () => {
  await write(timeout('t', { connect: '1s' }), timeout('same'))
  const path = fileOf('t.yaml', timeout('t', { connect: '2s' }), timeout('same'))
  const before = await head()
  expect(await rig.run(diff, '-f', path)).toMatchObject({ code: 0, printed: patchOf(path), notes: [] })
  expect((await rig.run(diff, '-f', path, '--exit-code')).code).toBe(1)
  expect((await rig.run(diff, '-f', fileOf('same.yaml', timeout('same')), '--exit-code')).code).toBe(0)
  const { printed } = await rig.run(diff, '-f', fileOf('new.yaml', timeout('new')), '-o', 'table')
  expect(printed[1]).toMatch(/^Timeout default\/new +created$/)
  expect(await head()).toBe(before)
})

test('B54 diff -f reports refused documents with their place, and revisions and files exclude each other', async () => {
  const path = fileOf('bad.yaml', timeout('good'), { ...timeout('bad'), conf: { connectTimeuot: '1s' } })
  const { code, notes, text } = await rig.run(diff, '-f', path)
  expect([code, text]).toEqual([1, expect.stringContaining('+++ Timeout default/good')])
  expect(notes).toEqual([
    `Timeout default/bad: refused — ${path}, document 2 (line 3): Resource is not valid`,
    '  conf.connectTimeuot: unknown field; did you mean "connectTimeout"?',
  ])
  for (const args of [[], ['@1', '-f', path]])
    await expect(rig.run(diff, ...args)).rejects.toThrow('expected revisions such as @12..@15, or -f FILE')
})

test('B55 apply --dry-run prints what would be created, changed and unchanged with the patch, and writes nothing', async () => {
  await write(timeout('t', { connect: '1s' }), timeout('same'))
  const path = fileOf('t.yaml', timeout('t', { connect: '2s' }), timeout('same'), timeout('new'))
  const before = await head()
  const { code, printed } = await rig.run(apply, '-f', path, '--dry-run')
  expect(code).toBe(0)
  expect(printed.slice(0, 8)).toEqual(patchOf(path))
  expect(printed.slice(8, 11)).toEqual([
    'Timeout default/same: unchanged',
    '--- (absent) now',
    `+++ Timeout default/new ${path}:5`,
  ])
  expect(printed.at(-1)).toBe('1 created, 1 updated, 1 unchanged; nothing was written (--dry-run)')
  expect(await head()).toBe(before)
  const bad = await rig.run(apply, '-f', fileOf('bad.yaml', { ...timeout('bad'), mesh: 'none' }), '--dry-run')
  expect([bad.code, bad.printed]).toEqual([1, ['1 refused; nothing was written (--dry-run)']])
  // The same documents without --dry-run are written, so the dry run has not changed what they do.
  expect((await rig.run(apply, '-f', path)).printed.slice(0, 3)).toEqual([
    'Timeout default/t: updated',
    'Timeout default/same: unchanged',
    'Timeout default/new: created',
  ])
})

test('B55 a secret that is applied again without a change is unchanged', async () => {
  const path = fileOf('s.yaml', { type: 'Secret', mesh: 'default', name: 's', data: 'eA==' })
  expect((await rig.run(apply, '-f', path)).printed[0]).toBe('Secret default/s: created')
  expect((await rig.run(apply, '-f', path)).printed[0]).toBe('Secret default/s: unchanged')
})

async function serveFiles(answer: RequestListener) {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const base = `http://127.0.0.1:${bound !== null && typeof bound === 'object' ? bound.port : 0}`
  return {
    base,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

test('B56 apply -f reads a URL, and explains an address that it cannot read', async () => {
  await using files = await serveFiles(({ url }, response) => {
    if (url === '/t.yaml') response.writeHead(200, { 'content-type': 'text/yaml' }).end(JSON.stringify(timeout('t')))
    else if (url === '/moved') response.writeHead(302, { location: '/t.yaml' }).end()
    else if (url === '/page') response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
    else if (url === '/large') response.writeHead(200, { 'content-type': 'text/plain' }).end('# x\n'.repeat(1_100_000))
    else if (url === '/slow') response.writeHead(200, { 'content-type': 'text/plain' }).write('type: ')
    else response.writeHead(404).end()
  })
  const { base } = files
  expect((await rig.run(apply, '-f', `${base}/t.yaml`)).printed[0]).toBe('Timeout default/t: created')
  expect((await rig.run(apply, '-f', `${base}/moved`)).printed[0]).toBe('Timeout default/t: unchanged')
  for (const [source, reason] of [
    [`${base}/none`, 'the server answered 404 Not Found'],
    [`${base}/page`, 'expected YAML, found text/html; use the address of the file itself'],
    [`${base}/large`, 'it is larger than 4194304 bytes, the most that a control plane takes'],
    ['http://127.0.0.1:9/x', 'the connection failed'],
    ['http://', 'expected a URL such as https://example.com/mesh.yaml'],
  ] as const)
    await expect(rig.run(apply, '-f', source)).rejects.toThrow(`cannot read ${source}: ${reason}`)
  await expect(rig.run(apply, '-f', 'http://user:word@localhost/x')).rejects.toThrow(
    'cannot read http://…@localhost/x: expected a URL without a user and a password',
  )
  await expect(download(`${base}/slow`, 50)).rejects.toThrow(
    `cannot read ${base}/slow: no complete answer within 0.05 s`,
  )
})
