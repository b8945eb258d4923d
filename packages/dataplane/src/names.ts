import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type DnsTable, tableOf } from '@zonemesh/shared/dns/answer.ts'
import type { Names } from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { z } from 'zod'
import { writeAtomic } from './files.ts'

const stateSchema = z.object({
  store: z.string(),
  revision: z.number(),
  ttlSeconds: z.number(),
  domain: z.string(),
  /** The part of the addresses. With another part, the stored names are invalid. */
  part: z.number().optional(),
  names: z.record(z.string(), z.array(z.string())),
})
type State = z.infer<typeof stateSchema>

/** The names that this proxy serves: from the zone while it is connected, otherwise from the file. */
export interface NamesHolder {
  table(): DnsTable
  /** The store and revision of the names. With it the zone sends only differences. */
  position(): { readonly store: string; readonly revision: number }
  apply(names: Names): void
  /** Resolves when the applied names are in the file. */
  saved(): Promise<void>
}

const emptyState: State = { store: '', revision: 0, ttlSeconds: 30, domain: 'mesh', names: {} }

/**
 * Calls `failed` if the file cannot be written. The names are still served, but a restart of this process loses them.
 */
export async function openNames(
  workDir: string,
  part: number | undefined,
  failed: (cause: unknown) => void = () => {},
): Promise<NamesHolder> {
  const file = join(workDir, 'names.json')
  let state = await load(file, part)
  let addressesByName = new Map(Object.entries(state.names))
  let table = tableOf(state.domain, state.ttlSeconds, addressesByName)
  let saving: Promise<void> = Promise.resolve()
  let queued = false
  const save = () => {
    if (queued) return
    queued = true
    saving = saving
      .then(() => {
        queued = false
        const names = Object.fromEntries(addressesByName)
        return writeAtomic(file, JSON.stringify({ ...state, ...(part === undefined ? {} : { part }), names }))
      })
      .catch(failed)
  }
  return {
    table: () => table,
    position: () => ({ store: state.store, revision: state.revision }),
    apply(names) {
      // The last message of a difference carries its revision. The others have revision 0.
      addressesByName = new Map(names.reset ? [] : addressesByName)
      for (const { name, addresses } of names.changed) addressesByName.set(name, addresses)
      for (const name of names.removed) addressesByName.delete(name)
      const { store, ttlSeconds, domain } = names
      state = { ...state, store, ttlSeconds, domain, revision: Number(names.revision) }
      if (names.revision === 0n) return
      table = tableOf(domain, ttlSeconds, addressesByName)
      save()
    },
    saved: () => saving,
  }
}

async function load(file: string, part: number | undefined): Promise<State> {
  try {
    const state = stateSchema.parse(JSON.parse(await readFile(file, 'utf8')))
    return state.part === part ? state : emptyState
  } catch {
    return emptyState
  }
}
