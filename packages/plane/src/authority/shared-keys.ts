import { createHash } from 'node:crypto'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { replicaNames } from '@zonemesh/shared/sync/replicas.ts'

type Notes = Pick<Store, 'notes'>

/** The fingerprints of the keys of a process. All processes of a shared store must have the same keys. */
export interface KeyPrints {
  readonly sealKey: string
  readonly authority: string
}

const note = 'plane-keys'

const hash = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** Computes the fingerprints. The seal key has 256 random bits, so its hash reveals nothing. */
export const keyPrints = (sealKey: Buffer, certificate: string): KeyPrints => ({
  sealKey: hash(sealKey),
  authority: hash(certificate.trim()),
})

/** The fingerprints of the keys of this store; undefined before the first process has started. */
export async function sharedPrints({ notes }: Notes): Promise<KeyPrints | undefined> {
  const found = (await notes.read(note)).get(note)
  return found && { sealKey: String(found['sealKey']), authority: String(found['authority']) }
}

export const putSharedPrints = ({ notes }: Notes, { sealKey, authority }: KeyPrints): Promise<void> =>
  notes.put([{ name: note, value: { sealKey, authority } }])

/** The end of a sentence, with the places of the keys for an operator. */
export async function whereKeysAre(store: Notes): Promise<string> {
  const names = await replicaNames(store)
  const replicas = names.length > 0 ? ` (running replicas: ${names.join(', ')})` : ''
  return `copy seal.key, ca.key and ca.crt from the data folder of a running replica of this store${replicas}, or restore them from a backup of it`
}
