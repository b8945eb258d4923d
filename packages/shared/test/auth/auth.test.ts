import { expect, test } from 'vitest'
import { adminProof, isAdminProof } from '../../src/auth/admin-proof.ts'
import { addressesOf, decodeJoin, encodeJoin } from '../../src/auth/join.ts'

const request = { method: 'PUT', host: '127.0.0.1:5681', path: '/meshes/default?x=1' }
const nowMs = 1_800_000_000_000

test('R27 a proof counts only for its key and its request, and only within a minute of its time', () => {
  const header = adminProof('key', nowMs, request)
  expect(header).not.toContain('key')
  for (const atMs of [nowMs - 60_000, nowMs, nowMs + 60_000])
    expect(isAdminProof('key', atMs, request, header)).toBe(true)
  for (const atMs of [nowMs - 60_001, nowMs + 60_001]) expect(isAdminProof('key', atMs, request, header)).toBe(false)
  expect(isAdminProof('other', nowMs, request, header)).toBe(false)
  for (const change of [{ method: 'GET' }, { host: '127.0.0.1:5682' }, { path: '/meshes/default' }])
    expect(isAdminProof('key', nowMs, { ...request, ...change }, header)).toBe(false)
  // The proof also covers its time.
  expect(isAdminProof('key', nowMs, request, header.replace(String(nowMs), String(nowMs + 1)))).toBe(false)
  for (const bad of ['', 'Zonemesh-Admin', `Bearer ${header}`, `${header}x`, header.slice(0, -1)])
    expect(isAdminProof('key', nowMs, request, bad)).toBe(false)
})

const join = { address: 'https://10.0.0.1:5685', token: 'a.b.c', pin: '0f'.repeat(32) }
const encoded = (fields: unknown): string => `zmj1.${Buffer.from(JSON.stringify(fields)).toString('base64url')}`

test('Z30 a join string is read back unchanged for every form of address, with white space around it', () => {
  for (const address of ['https://a:1', 'http://a:1/', 'wss://a/sync?x=1', 'ws://a', join.address])
    expect(decodeJoin(` ${encodeJoin({ ...join, address })}\n`)).toEqual({ ok: true, value: { ...join, address } })
})

test('Z32 a join string may hold several addresses, and one with a single address has the form of older versions', () => {
  const several = { ...join, otherAddresses: ['https://[fd00::1]:5685', 'wss://a:5682'] }
  expect(decodeJoin(encodeJoin(several))).toEqual({ ok: true, value: several })
  expect(addressesOf(several)).toEqual([join.address, ...several.otherAddresses])
  const { address: a, token: t, pin: p } = join
  expect(encodeJoin({ ...join, otherAddresses: [] })).toBe(encoded({ a, t, p }))
  expect(decodeJoin(encoded({ a: [a], t, p }))).toEqual({ ok: true, value: join })
  for (const wrong of [[], [a, 7], [a, 'ftp://a'], [[a]]])
    expect(decodeJoin(encoded({ a: wrong, t, p }))).toEqual({ ok: false, error: 'the join string has no address' })
})

test('Z30 a join string that is truncated, changed or incomplete is refused with the reason, and never repeated', () => {
  const reasonOf = (text: string) => {
    const read = decodeJoin(text)
    return read.ok ? 'accepted' : read.error
  }
  const { address: a, token: t, pin: p } = join
  expect(reasonOf(encoded({ a, t, p }).slice('zmj1.'.length))).toBe('a join string begins with zmj1.')
  for (const text of [encoded({ a, t, p }).slice(0, -9), encoded(null), encoded('text')])
    expect(reasonOf(text)).toBe('the join string is damaged: it is cut off or was changed')
  for (const wrong of [
    { t, p },
    { a: 'ftp://a', t, p },
    { a: 'https://a/path', t, p },
  ])
    expect(reasonOf(encoded(wrong))).toBe('the join string has no address')
  expect(reasonOf(encoded({ a, p }))).toBe('the join string has no token')
  for (const wrong of [
    { a, t },
    { a, t, p: p.slice(1) },
    { a, t, p: `${p}0` },
    { a, t, p: p.toUpperCase() },
  ])
    expect(reasonOf(encoded(wrong))).toBe('the join string has no SHA-256 of the CA')
})
