import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/env/clock.ts'
import { silentLog } from '../../src/env/log.ts'
import { systemRandom } from '../../src/env/random.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import type { Change, Store } from '../../src/store/store.ts'
import { createLatest } from '../../src/streams/latest.ts'
import { syncPath } from '../../src/sync/handshake.ts'
import type { SightRules } from '../../src/sync/log/who-sees.ts'
import { nothingServed } from '../../src/sync/served-status.ts'
import { type SyncServer, type SyncServerDeps, type SyncServerOptions, startSyncServer } from '../../src/sync/server.ts'
import { startUplink, type Uplink, type UplinkDeps, type UplinkOptions } from '../../src/sync/uplink.ts'
import { dialGrpc, listenGrpc } from '../../src/transport/grpc.ts'
import type { TestAuthority } from './certificates.ts'

/** Kinds for each direction. A zone sees only the Certificate rows that name it. */
export const rules: SightRules = {
  travelOf(kind) {
    if (kind === 'Policy' || kind === 'Certificate') return 'global-to-zones'
    if (kind === 'Dataplane') return 'zone-to-global'
    if (kind === 'Service') return 'zone-relayed'
    return kind === 'Future' ? undefined : 'internal'
  },
  seenBy: new Map([['Certificate', (row, zone) => row.spec['zone'] === zone]]),
}

export const put = (
  origin: string,
  kind: string,
  name: string,
  spec: Record<string, string | number> = {},
): Change => ({
  op: 'put',
  key: { origin, kind, mesh: 'default', name },
  labels: {},
  spec,
})

export const remove = (origin: string, kind: string, name: string): Change => ({
  op: 'delete',
  key: { origin, kind, mesh: 'default', name },
})

export async function write(store: Store, ...changes: Change[]) {
  const outcome = await store.commit({ changes, subject: 'test', intent: 'test' })
  if (!outcome.ok) throw new Error('refused')
  return outcome.position
}

/** The names of the live rows of a kind, with their origin, as "global/a". */
export async function names(store: Store, kind: string): Promise<string[]> {
  return (await store.scan({ kind })).map((row) => `${row.key.origin}/${row.key.name}`)
}

/** Resolves when `holds` returns true. It is checked at each new mark of the store and at each change of `also`. */
export async function until(
  store: Pick<Store, 'onMark'>,
  holds: () => Promise<boolean> | boolean,
  also?: SyncServer,
): Promise<void> {
  const wake = createLatest(0)
  const stop = new AbortController()
  const turn = () => wake.set(wake.value + 1)
  using _marks = store.onMark(turn)
  using _changes = also?.onChange(turn)
  for await (const _ of wake.watch(stop.signal)) {
    if (await holds()) return
  }
}

type ServerOverrides = { port?: number } & Partial<
  Pick<SyncServerOptions, 'formerStayMs' | 'inflow' | 'replica' | 'protocol'>
>

/** Opens servers and uplinks for a test, and closes them in reverse order. */
export function createScene(authority: TestAuthority) {
  const opened: (() => PromiseLike<void> | void)[] = []
  const deps = { clock: systemClock, random: systemRandom, log: silentLog }
  return {
    deps,
    folder(): string {
      const path = mkdtempSync(join(tmpdir(), 'zonemesh-sync-'))
      opened.push(() => rmSync(path, { recursive: true, force: true }))
      return path
    },
    async sqlite(path: string): Promise<Store> {
      const store = await openSqliteStore(deps, { path })
      opened.push(() => store.close())
      return store
    },
    async server(store: Store, overrides: Partial<SyncServerDeps> & ServerOverrides = {}) {
      const { port = 0, formerStayMs = 300_000, inflow, replica, protocol, ...others } = overrides
      const authenticate: SyncServerDeps['authenticate'] = async (token) =>
        token.startsWith('token-of-')
          ? { ok: true, value: { zone: token.slice(9) } }
          : { ok: false, error: 'the token has expired' }
      const server = await startSyncServer(
        { ...deps, store, rules, authenticate, ...others },
        {
          listen: [listenGrpc({ host: '127.0.0.1', port, tls: authority, path: syncPath })],
          version: 'test',
          hostname: 'global-host',
          formerStayMs,
          ...(replica === undefined ? {} : { replica }),
          ...(protocol ? { protocol } : {}),
          ...(inflow ? { inflow } : {}),
        },
      )
      opened.push(() => server[Symbol.asyncDispose]())
      return { ...server, port: server.ports[0] ?? 0 }
    },
    uplink(
      store: Store,
      zone: string,
      port: number,
      overrides: Partial<UplinkDeps> &
        Partial<UplinkOptions> & { readonly token?: string; readonly pinSha256Hex?: string } = {},
    ): Uplink {
      const {
        served = createLatest(nothingServed),
        derive,
        grants,
        onApplied,
        onUnknownPosition,
        report,
        queries,
        tracer,
        ...others
      } = overrides
      const { token = `token-of-${zone}`, pinSha256Hex = authority.pinSha256Hex, ...options } = others
      const hooks = {
        ...(derive ? { derive } : {}),
        ...(grants ? { grants } : {}),
        ...(onApplied ? { onApplied } : {}),
        ...(onUnknownPosition ? { onUnknownPosition } : {}),
        ...(report ? { report } : {}),
        ...(queries ? { queries } : {}),
        ...(tracer ? { tracer } : {}),
      }
      const uplink = startUplink(
        { ...deps, store, rules, served, ...hooks },
        {
          dialer: dialGrpc({ address: `127.0.0.1:${port}`, path: syncPath, token, pinSha256Hex }),
          zone,
          version: 'test',
          hostname: `${zone}-host`,
          ...options,
        },
      )
      opened.push(() => uplink[Symbol.asyncDispose]())
      return uplink
    },
    async close() {
      for (const close of opened.reverse()) await close()
    },
  }
}
