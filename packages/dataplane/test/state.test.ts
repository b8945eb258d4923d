import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { NamesSchema } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openNames } from '../src/names.ts'
import { claimPart, partAddress, partCount } from '../src/part.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'state-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const taken = () => Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
const resolver = (host: string) => ({ host, port: 1, [Symbol.asyncDispose]: async () => {} })

test('P7 the ranges cover 127.128.0.0/9 without overlap', () => {
  expect(partAddress(0, 1)).toBe('127.128.0.1')
  expect(partAddress(1, 0)).toBe('127.128.16.0')
  expect(partAddress(partCount - 1, 4095)).toBe('127.255.255.255')
})

test('P7 a proxy keeps the range of its last run, and takes the next free range if another proxy has claimed it', async () => {
  const tried: string[] = []
  const claim = async (name: string, start: (host: string) => Promise<ReturnType<typeof resolver>>) => {
    const claimed = await claimPart(folder, name, start)
    return claimed.ok ? claimed.value : undefined
  }
  const first = await claim('default.a', async (host) => resolver(host))
  const again = await claim('another name', async (host) => {
    tried.push(host)
    return resolver(host)
  })
  expect(again?.part).toBe(first?.part)
  expect(tried).toHaveLength(1)
  const moved = await claim('default.a', async (host) => {
    if (host === partAddress(first?.part ?? -1, 1)) throw taken()
    return resolver(host)
  })
  expect(moved?.part).toBe(((first?.part ?? 0) + 1) % partCount)
  expect((await claim('x', async (host) => resolver(host)))?.part).toBe(moved?.part)
  expect(await readdir(folder)).toEqual(['part.json'])
})

test('P7 a host without these addresses has no range, and other errors are reported', async () => {
  const failing = (code: string) => async () => {
    throw Object.assign(new Error(code), { code })
  }
  for (const code of ['EADDRNOTAVAIL', 'EADDRINUSE'])
    expect(await claimPart(folder, 'a', failing(code))).toMatchObject({ ok: false, error: { code } })
  await expect(claimPart(folder, 'a', failing('EACCES'))).rejects.toThrow('EACCES')
})

const names = (init: Parameters<typeof create<typeof NamesSchema>>[1]) =>
  create(NamesSchema, { store: 's', ttlSeconds: 30, domain: 'mesh', ...init })
const address = (last: number) => [`127.128.0.${last}`]

test('P8 names are applied as differences, published only when complete, and kept for the next run with the same range', async () => {
  const holder = await openNames(folder, 3)
  const lookup = (name: string) => holder.table().lookup(name, '127.0.0.1')
  holder.apply(names({ reset: true, revision: 0n, changed: [{ name: 'a.mesh', addresses: address(2) }] }))
  expect(lookup('a.mesh')).toBeUndefined()
  holder.apply(names({ revision: 4n, changed: [{ name: 'b.mesh', addresses: address(3) }] }))
  expect([lookup('a.mesh'), lookup('b.mesh')]).toEqual([address(2), address(3)])
  holder.apply(names({ revision: 5n, removed: ['a.mesh'] }))
  expect(lookup('a.mesh')).toBeUndefined()
  expect(holder.position()).toEqual({ store: 's', revision: 5 })
  await holder.saved()
  const same = await openNames(folder, 3)
  expect(same.table().lookup('b.mesh', '')).toEqual(address(3))
  expect(same.position()).toEqual({ store: 's', revision: 5 })
  const other = await openNames(folder, 4)
  expect([other.table().lookup('b.mesh', ''), other.position().revision]).toEqual([undefined, 0])
})

test('P8 a truncated difference is not treated as complete', async () => {
  const holder = await openNames(folder, 3)
  holder.apply(names({ reset: true, revision: 4n, changed: [{ name: 'a.mesh', addresses: address(2) }] }))
  holder.apply(names({ revision: 0n, changed: [{ name: 'b.mesh', addresses: address(3) }] }))
  expect(holder.position().revision).toBe(0)
  await holder.saved()
})

test('P9 a folder that is not writable costs only the stored copy of the names', async () => {
  const failures: unknown[] = []
  const holder = await openNames(join(folder, 'gone'), 3, (cause) => failures.push(cause))
  holder.apply(names({ reset: true, revision: 4n, changed: [{ name: 'a.mesh', addresses: address(2) }] }))
  await holder.saved()
  expect([holder.table().lookup('a.mesh', ''), failures.length]).toEqual([address(2), 1])
})

test('P9 a damaged file counts as absent', async () => {
  await writeFile(join(folder, 'names.json'), '{"store":')
  const holder = await openNames(folder, 3)
  expect(holder.position()).toEqual({ store: '', revision: 0 })
})
