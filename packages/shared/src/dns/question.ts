import type { Random } from '../env/random.ts'

const headerBytes = 12
/** The type and the class that follow the name of a question. */
const afterNameBytes = 4
const caseBit = 0x20
const isLetter = (byte: number): boolean => (byte | caseBit) >= 0x61 && (byte | caseBit) <= 0x7a

/** The same question with a random id and a random case of each letter. */
export function disguised(random: Random, query: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(query)
  copy.set(random.bytes(2))
  const endOfName = endOfQuestion(query) - afterNameBytes
  for (const [at, coin] of random.bytes(copy.length).entries()) {
    const byte = copy[at]
    if (byte !== undefined && at >= headerBytes && at < endOfName && isLetter(byte)) copy[at] = byte ^ (coin & caseBit)
  }
  return copy
}

/**
 * Whether an answer has the id and the question of a query, which a forged answer can only guess; `other-case` if only
 * the case of letters of the name differs.
 */
export function matchOf(query: Uint8Array, answer: Uint8Array): 'exact' | 'other-case' | undefined {
  const [asked, repeated] = [questionOf(query), answer.subarray(headerBytes, endOfQuestion(query))]
  if (Buffer.compare(query.subarray(0, 2), answer.subarray(0, 2)) !== 0) return undefined
  if (Buffer.compare(asked, repeated) === 0) return 'exact'
  return Buffer.compare(inLowerCase(asked), inLowerCase(repeated)) === 0 ? 'other-case' : undefined
}

/**
 * An answer with the id and the question of the client. Later names point to the question or keep the letters of the
 * server.
 */
export function restored(answer: Uint8Array, query: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(answer)
  copy.set(query.subarray(0, 2))
  copy.set(questionOf(query), headerBytes)
  return copy
}

const questionOf = (query: Uint8Array): Uint8Array => query.subarray(headerBytes, endOfQuestion(query))

const inLowerCase = (question: Uint8Array): Uint8Array =>
  question.map((byte, at) => (at < question.length - afterNameBytes && isLetter(byte) ? byte | caseBit : byte))

/** The end of the only question. A label has at most 63 bytes, so its length byte is never the code of a letter. */
function endOfQuestion(query: Uint8Array): number {
  let end = headerBytes
  for (let length = query[end]; length; length = query[end]) end += length + 1
  return end + 1 + afterNameBytes
}
