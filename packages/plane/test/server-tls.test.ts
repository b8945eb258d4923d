import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openServerTls } from '@zonemesh/plane/authority/server-tls.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-tls-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const open = (...hosts: string[]) => openServerTls({ clock: systemClock }, folder, hosts)

test('a plane that is started again shows the same certificate', async () => {
  const first = await open('global')
  expect((await open('global')).certificate).toBe(first.certificate)
})

test('a plane whose machine has got another name or address shows a certificate with it, of the same authority', async () => {
  const first = await open('global')
  for (const added of ['relay', '192.0.2.7', '2001:db8::7']) {
    const next = await open('global', added)
    expect(next.pin).toBe(first.pin)
    const parsed = new X509Certificate(next.certificate)
    expect(parsed.checkHost('global')).toBe('global')
    expect(added.includes('.') || added.includes(':') ? parsed.checkIP(added) : parsed.checkHost(added)).toBe(added)
  }
})
