import { createHash } from 'node:crypto'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { replicaNames } from '@zonemesh/shared/sync/replicas.ts'

type Notes = Pick<Store, 'notes'>

/** What a process of a shared store has as its keys, by fingerprints: all processes of the store must have the same. */
export interface KeyPrints {
  readonly sealKey: string
  readonly authority: string
}

const note = 'plane-keys'

const hash = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** The key has 256 random bits, so its hash reveals nothing. */
export const keyPrints = (sealKey: Buffer, certificate: string): KeyPrints => ({
  sealKey: hash(sealKey),
  authority: hash(certificate.trim()),
})

/** The keys of the processes that use this store; undefined before the first one has started. */
export async function sharedPrints({ notes }: Notes): Promise<KeyPrints | undefined> {
  const found = (await notes.read(note)).get(note)
  return found && { sealKey: String(found['sealKey']), authority: String(found['authority']) }
}

export const putSharedPrints = ({ notes }: Notes, { sealKey, authority }: KeyPrints): Promise<void> =>
  notes.put([{ name: note, value: { sealKey, authority } }])

/** Where an operator finds the keys, as the end of a sentence. */
export async function whereKeysAre(store: Notes): Promise<string> {
  const names = await replicaNames(store)
  const known = names.length > 0 ? ` (known by name: ${names.join(', ')})` : ''
  return `copy seal.key, ca.key and ca.crt from the data folder of a running replica of this store${known}, or restore them from a backup of it`
}
