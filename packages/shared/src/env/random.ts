import { randomBytes, randomUUID } from 'node:crypto'

/** Randomness as a dependency. */
export interface Random {
  /** A number in [0, 1). */
  fraction(): number
  bytes(length: number): Uint8Array
  uuid(): string
}

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
}

/** The same seed gives the same sequence (mulberry32). Not for cryptographic keys. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(next() * 256))
  return {
    fraction: next,
    bytes,
    uuid: () => {
      const hex = Buffer.from(bytes(16)).toString('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
    },
  }
}
