import { typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { createClosers } from '@zonemesh/plane/lifecycle.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { leadAlone } from '@zonemesh/shared/leader/election.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryStore, type MemoryContents } from '@zonemesh/shared/store/memory.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { expect } from 'vitest'
import { type CoreKeys, startCore } from '../../src/core.ts'

const own = (kind: string, name: string, mesh = 'default') => ({ origin: 'east', kind, mesh, name })
const put = (key: ReturnType<typeof own>, spec: object): Change => ({
  op: 'put',
  key,
  labels: {},
  // Tests write JSON only.
  spec: spec as Extract<Change, { op: 'put' }>['spec'],
})
const proxy = own('Dataplane', 'edge-1')
export const gateway = own('MeshGateway', 'edge')
export const hosts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']

export const world = (tags: object = {}): Change[] => [
  put(own('Mesh', 'default', ''), {}),
  put(proxy, {
    networking: { address: '10.0.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } },
  }),
  put(gateway, {
    selectors: [{ match: { 'kuma.io/service': 'edge' } }],
    tags,
    conf: {
      listeners: [
        { port: 80, protocol: 'HTTP' },
        ...hosts.map((host) => ({ port: 8443, protocol: 'TLS', hostname: host, tls: { mode: 'PASSTHROUGH' } })),
      ],
    },
  }),
]

/** Keys that do nothing: these tests need no certificates. */
const keys = (): CoreKeys => ({
  secrets: {
    resolve: () => undefined,
    identityOf: () => undefined,
    identities: () => [],
    forget: () => undefined,
    close: () => undefined,
  },
  certificates: { verdicts: () => [] },
  sent: () => undefined,
  served: () => false,
  gone: () => undefined,
  rotations: () => [],
  uses: () => ({}),
  wake: () => undefined,
  close: () => undefined,
})

/** Starts a zone over a store, with an Envoy that refuses every listener with a bad chain. */
export async function startLife(contents: MemoryContents, isBad: (host: string) => boolean, replica?: string) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const random = createSeededRandom(contents.mark + 1)
  const store = createMemoryStore({ clock, random }, { contents })
  const closers = createClosers(silentLog)
  const core = await startCore(
    { clock, random, log: silentLog, zone: 'east', role: 'standalone', store, leadership: leadAlone('east'), replica },
    closers,
    keys,
  )
  const { table } = core.engine.open(keyText(proxy), { canBindPort80: true })
  const accepted = new Map<string, XdsResource>()
  const refusedNames = new Set<string>()

  const hostsOf = (listener: XdsResource | undefined) =>
    [...(listener?.contributions?.keys() ?? [])].map((source) => source.split(':').at(-1) ?? '')
  const listeners = () => [...(table.value?.resources.get(typeUrls.listener)?.values() ?? [])]

  /** Answers tables until no new one is published. */
  function answer(): void {
    let tables = 0
    for (let serial = -1; serial !== table.value?.mark; ) {
      serial = table.value?.mark ?? 0
      tables += 1
      expect(tables).toBeLessThan(20)
      for (const listener of listeners()) {
        const { name, version, contributions } = listener
        if (accepted.get(name)?.version === version) continue
        if (!hostsOf(listener).some(isBad)) {
          accepted.set(name, listener)
          continue
        }
        refusedNames.add(name)
        const before = accepted.get(name)?.contributions
        const changed = [...(contributions ?? [])].filter(([source, hash]) => before?.get(source) !== hash)
        core.refusals.refused(keyText(proxy), {
          typeUrl: typeUrls.listener,
          name,
          version,
          detail: 'no',
          reason: 'content',
          contributions: changed.map(([source]) => source),
        })
      }
      core.refusals.served(keyText(proxy), serial)
    }
  }

  return {
    store,
    answer,
    refusedNames,
    hosts: () => hostsOf(listeners().find(({ name }) => name === 'edge:TLS:8443')).sort(),
    names: () => listeners().map(({ name }) => name),
    refusedSources: () => core.refusals.verdicts().map(({ source }) => source),
    /** Resolves when a table contains this host. */
    async untilServed(host: string): Promise<void> {
      for await (const _next of table.watch(AbortSignal.timeout(5_000))) {
        if (hostsOf(listeners().find((one) => one.name === 'edge:TLS:8443')).includes(host)) return
      }
    },
    /** Resolves when the store contains this number of refusals. */
    async untilStored(count: number): Promise<void> {
      for (;;) {
        const marked = Promise.withResolvers<void>()
        using _listening = store.onMark(() => marked.resolve())
        if ((await store.scan({ kind: 'Refusal' })).length === count) return
        await marked.promise
      }
    },
    /** Reads what another process has written. Its own commits are read by themselves. */
    read: () => core.engine.start(),
    namesStore: () => core.nameFeeds.open('default', { canBindPort80: true }, () => undefined).names.value?.store,
    stop: () => core.engine.close(),
  }
}
