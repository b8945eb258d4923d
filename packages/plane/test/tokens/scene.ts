import { createMemorySealer } from '@zonemesh/plane/authority/seal.ts'
import { createTokenKeeper } from '@zonemesh/plane/tokens/keeper.ts'
import { createKeySource } from '@zonemesh/plane/tokens/keys.ts'
import { createTokens } from '@zonemesh/plane/tokens/tokens.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { type Log, silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import type { Commit } from '@zonemesh/shared/store/store.ts'

export const startMs = Date.UTC(2026, 0, 1)
const hourMs = 3_600_000

export const key = (kind: string, mesh: string, name: string, origin = 'global') => ({ origin, kind, mesh, name })

export const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

/** A memory store with secrets, and everything that reads and writes tokens of a global from it. */
export function createScene() {
  const clock = createVirtualClock(startMs)
  const store = createMemoryStore({ clock, random: createSeededRandom(7) })
  const sealer = createMemorySealer()
  const commits: Commit[] = []
  const errors: unknown[] = []
  const commit = async (one: Commit) => {
    commits.push(one)
    return store.commit(one)
  }
  const log = { ...silentLog, error: (fields: unknown) => void errors.push(fields) } as Log
  const base = { clock, store, sealer, origin: 'global', log, commit }
  const keeper = createTokenKeeper(base)
  const source = (owns: (purpose: string) => boolean = () => true, origin = 'global') =>
    createKeySource({ ...base, origin, owns })
  const tokens = createTokens({ clock }, source())
  const put = (at: ReturnType<typeof key>, spec: JsonObject) =>
    store.commit({ changes: [{ op: 'put', key: at, labels: {}, spec }], subject: 'test', intent: 'test' })
  const secret = (kind: string, mesh: string, name: string, text: string) =>
    put(key(kind, mesh, name), { sealed: sealer.seal(Buffer.from(text).toString('base64')) })
  return {
    /** `commits` and `errors` are those of the keeper and the sources. */
    ...{ clock, store, commits, errors, keeper, source, tokens, put, secret },
    /** Writes a secret, and then the public rows that follow from it. */
    async write(kind: string, mesh: string, name: string, text: string) {
      await secret(kind, mesh, name, text)
      await keeper.reconcile()
    },
    async remove(kind: string, mesh: string, name: string) {
      const changes = [{ op: 'delete', key: key(kind, mesh, name) }] as const
      await store.commit({ changes, subject: 'test', intent: 'test' })
      await keeper.reconcile()
    },
    async issue(purpose: 'user' | 'zone' | 'dataplane', mesh = '', validForMs = hourMs) {
      const token = (await tokens.issue(purpose, mesh, {}, validForMs)) ?? ''
      return { token, id: String(claimsOf(token).jti) }
    },
    async publicRows() {
      const rows = [...(await store.scan({ kind: 'TokenKey' })), ...(await store.scan({ kind: 'TokenRevocation' }))]
      return rows.map((row) => `${row.key.kind}/${row.key.name}`).sort()
    },
  }
}
