import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFolderKeys } from '@zonemesh/plane/authority/folder-keys.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-tls-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const env = { clock: systemClock, random: systemRandom, log: silentLog }
const open = async (...tlsHosts: string[]) => {
  const options = { dataDir: folder, tlsHosts, origin: 'global', acceptLostSecrets: false, shared: false }
  return (await openFolderKeys(env, createMemoryStore(env, { horizonRevisions: 100 }), options)).tls
}
const file = (name: string): string => join(folder, name)

test('V16 a restarted plane shows the same certificate', async () => {
  const first = await open('global')
  expect((await open('global')).certificate).toBe(first.certificate)
})

test('V16 a plane whose host has a new name or address shows a certificate with it, from the same authority', async () => {
  const first = await open('global')
  for (const added of ['relay', '192.0.2.7', '2001:db8::7']) {
    const next = await open('global', added)
    expect(next.pin).toBe(first.pin)
    const parsed = new X509Certificate(next.certificate)
    expect(parsed.checkHost('global')).toBe('global')
    expect(added.includes('.') || added.includes(':') ? parsed.checkIP(added) : parsed.checkHost(added)).toBe(added)
  }
})

test('V14 an interrupted first start is resumed, because nothing has used its keys', async () => {
  await open()
  for (const left of [[], ['seal.key'], ['seal.key', 'ca.key']]) {
    for (const name of readdirSync(folder)) if (!left.includes(name)) rmSync(file(name))
    await open()
    for (const name of ['seal.key', 'ca.key', 'ca.crt', 'server.crt', 'server.key'])
      expect([name, statSync(file(name)).mode & 0o777]).toEqual([name, 0o600])
  }
})

test('V14 a folder that has served requires each key that cannot be created again', async () => {
  const expected = { 'seal.key': /seal\.key/, 'ca.key': /ca\.key/, 'ca.crt': /ca\.crt/ }
  for (const [name, reason] of Object.entries(expected)) {
    await open()
    rmSync(file(name))
    await expect(open()).rejects.toThrow(reason)
    expect(existsSync(file(name))).toBe(false)
    for (const left of readdirSync(folder)) rmSync(file(left))
  }
})

test('V16 a server certificate of another authority is replaced', async () => {
  const first = await open()
  for (const name of ['seal.key', 'ca.key', 'ca.crt', 'server.crt']) rmSync(file(name))
  rmSync(file('server.key'))
  const second = await open()
  expect(second.pin).not.toBe(first.pin)
  expect(second.certificate).not.toContain(first.authority)
})
