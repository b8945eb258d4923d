import { decodeJoin, encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { expect, test } from 'vitest'

const join = { address: 'https://zone.example:5678', token: 'a.b.c', pin: 'ab'.repeat(32) }

test('Z30 a join string is one word with address, identity and trust', () => {
  const text = encodeJoin(join)
  expect(text).toMatch(/^zmj1\.[\w-]+$/)
  expect(decodeJoin(` ${text}\n`)).toEqual({ ok: true, value: join })
})

test('Z30 an invalid join string is refused with a reason that does not repeat it', () => {
  const reason = (text: string) => {
    const decoded = decodeJoin(text)
    return decoded.ok ? '' : decoded.error
  }
  expect(reason('eyJhbGciOi')).toContain('begins with zmj1.')
  expect(reason(encodeJoin(join).slice(0, 40))).toContain('damaged')
  expect(reason(encodeJoin({ ...join, address: 'zone' }))).toContain('no address')
  expect(reason(encodeJoin({ ...join, pin: 'abc' }))).toContain('no SHA-256')
  expect(reason(encodeJoin({ ...join, pin: 'secret-token' }))).not.toContain('secret-token')
})
