import { expect, test } from 'vitest'
import { disguised, matchOf, restored } from '../../src/dns/question.ts'
import { systemRandom } from '../../src/env/random.ts'

/** A query with a type and a class whose bytes are codes of letters, and four bytes after the question. */
const query = (name: string, [high, low] = [0x12, 0x34]) =>
  Uint8Array.from([
    ...[high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
    ...name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]),
    ...[0, 0x41, 0x61, 0x42, 0x62, 0x43, 0x63, 0x44, 0x64],
  ])
/** The bytes with these bits of one byte inverted. */
const flipped = (bytes: Uint8Array, at: number, bits: number) =>
  bytes.map((byte, index) => (index === at ? byte ^ bits : byte))

test('D1 a disguised question has random bytes as its id, and each letter of its name changes its case if its bit is set', () => {
  const filled = (byte: number) => ({ ...systemRandom, bytes: (count: number) => new Uint8Array(count).fill(byte) })
  const name = 'a@AZ[`az{9-.mEsh'
  expect(disguised(filled(0xff), query(name))).toEqual(query('A@az[`AZ{9-.MeSH', [0xff, 0xff]))
  expect(disguised(filled(0xdf), query(name))).toEqual(query(name, [0xdf, 0xdf]))
  const asked = query(name)
  disguised(filled(0xff), asked)
  expect(asked).toEqual(query(name))
})

test('D3 an answer matches if it repeats the id and the question, and the case of letters matters only in the name', () => {
  const asked = query('wEb.mesh')
  const endOfQuestion = 12 + 10 + 4
  expect(matchOf(asked, asked)).toBe('exact')
  expect(matchOf(asked, asked.subarray(0, endOfQuestion))).toBe('exact')
  expect(matchOf(asked, asked.subarray(0, endOfQuestion - 1))).toBeUndefined()
  expect(matchOf(asked, new Uint8Array())).toBeUndefined()
  for (const at of [0, 1, ...Array.from({ length: endOfQuestion - 12 }, (_, index) => 12 + index)])
    expect(matchOf(asked, flipped(asked, at, 1))).toBeUndefined()
  // The flags, the counts and the records are those of the server.
  for (const at of [2, 11, endOfQuestion]) expect(matchOf(asked, flipped(asked, at, 1))).toBe('exact')
  const isLetter = (at: number) => [13, 14, 15, 17, 18, 19, 20].includes(at)
  for (let at = 12; at < endOfQuestion; at += 1)
    expect(matchOf(asked, flipped(asked, at, 0x20))).toBe(isLetter(at) ? 'other-case' : undefined)
})

test('D3 only letters have a case: the characters beside them differ', () => {
  for (const [a, b] of ['@`', '[{', '9\u0019']) expect(matchOf(query(`x${a}`), query(`x${b}`))).toBeUndefined()
  for (const [a, b] of ['aA', 'zZ']) expect(matchOf(query(`x${a}`), query(`x${b}`))).toBe('other-case')
})

test('D1 a restored answer has the id and the question of the client, and is otherwise unchanged', () => {
  const answer = flipped(query('WEB.mesh', [9, 9]), 2, 0x80)
  const expected = flipped(query('web.mesh'), 2, 0x80)
  const records = Uint8Array.from([0xc0, 12, 0, 1])
  expect(restored(Uint8Array.from([...answer, ...records]), query('web.mesh'))).toEqual(
    Uint8Array.from([...expected, ...records]),
  )
  // An answer may end with its question.
  expect(restored(answer.subarray(0, -4), query('web.mesh'))).toEqual(expected.subarray(0, -4))
})

test('D3 a name that ends with the message, or points outside of it, matches only the same bytes', () => {
  for (const end of [
    [0xc0, 0x0c, 0, 1, 0, 1],
    [3, 0x61],
  ]) {
    const asked = Uint8Array.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...end])
    expect(matchOf(asked, asked)).toBe('exact')
    expect(matchOf(asked, asked.subarray(0, -1))).toBeUndefined()
    expect(restored(asked, asked)).toEqual(asked)
    expect(disguised(systemRandom, asked).length).toBe(asked.length)
  }
})
