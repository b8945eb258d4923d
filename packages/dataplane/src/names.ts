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
  /** Addresses are those of this part; with another one they are worthless. */
  part: z.number().optional(),
  names: z.record(z.string(), z.array(z.string())),
})
type State = z.infer<typeof stateSchema>

/** The names this proxy serves: from the zone while it is there, from the file when it is not. */
export interface NamesHolder {
  table(): DnsTable
  /** What the zone needs to know to send differences only. */
  position(): { readonly store: string; readonly revision: number }
  apply(names: Names): void
  /** Resolves when what was applied is on disk. */
  saved(): Promise<void>
}

const nothing: State = { store: '', revision: 0, ttlSeconds: 30, domain: 'mesh', names: {} }

/** `failed` is told when the file cannot be written: names go on being served, they only would not outlive this process. */
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
      // A difference that comes in several messages ends with the one that carries its revision.
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
    return state.part === part ? state : nothing
  } catch {
    return nothing
  }
}
