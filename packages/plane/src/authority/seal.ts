import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** Encrypts secrets before they are stored (AES-256-GCM), and decrypts them. */
export interface Sealer {
  seal(plain: string): string
  /** Throws if the text was sealed with another key. */
  open(sealed: string): string
}

/** Parses the content of `seal.key`. */
export function readSealKey(path: string, text: string): Buffer {
  const key = Buffer.from(text, 'base64')
  if (key.length !== 32) throw new Error(`${path}: expected 32 bytes in base64, found ${key.length}`)
  return key
}

/** A sealer whose key is in memory only. */
export const createMemorySealer = (): Sealer => createSealer(randomBytes(32))

export function createSealer(key: Buffer): Sealer {
  return {
    seal(plain) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64')
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64')
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
      decipher.setAuthTag(bytes.subarray(12, 28))
      try {
        return decipher.update(bytes.subarray(28)).toString('utf8') + decipher.final('utf8')
      } catch (cause) {
        throw new Error(`cannot open a stored secret: it was sealed with another seal.key`, { cause })
      }
    },
  }
}
