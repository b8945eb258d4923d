import { typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { createClosers } from '@zonemesh/plane/lifecycle.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryContents, createMemoryStore, type MemoryContents } from '@zonemesh/shared/store/memory.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { type CoreKeys, startCore } from '../../src/core.ts'

const own = (kind: string, name: string, mesh = 'default') => ({ origin: 'east', kind, mesh, name })
const put = (key: ReturnType<typeof own>, spec: object): Change => ({
  op: 'put',
  key,
  labels: {},
  // Whatever a test writes is JSON.
  spec: spec as Extract<Change, { op: 'put' }>['spec'],
})
const proxy = own('Dataplane', 'edge-1')
const gateway = own('MeshGateway', 'edge')
const hosts = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']

const world = (tags: object = {}): Change[] => [
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

/** Keys are not what is tried here. */
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
  wake: () => undefined,
  close: () => undefined,
})

/** One life of a zone over what its store holds, with an Envoy that refuses a listener in which there is a bad chain. */
async function startLife(contents: MemoryContents, isBad: (host: string) => boolean) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const random = createSeededRandom(contents.mark + 1)
  const store = createMemoryStore({ clock, random }, { contents })
  const closers = createClosers(silentLog)
  const core = await startCore(
    { clock, random, log: silentLog, zone: 'east', role: 'standalone', store },
    closers,
    keys,
  )
  const { table } = core.engine.open(keyText(proxy), { canBindPort80: true })
  const accepted = new Map<string, XdsResource>()
  const refusedNames = new Set<string>()

  const hostsOf = (listener: XdsResource | undefined) =>
    [...(listener?.contributions?.keys() ?? [])].map((source) => source.split(':').at(-1) ?? '')
  const listeners = () => [...(table.value?.resources.get(typeUrls.listener)?.values() ?? [])]

  /** Answers until nothing new comes. */
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
    hosts: () => hostsOf(listeners().find((one) => one.name === 'edge:TLS:8443')).sort(),
    names: () => listeners().map((one) => one.name),
    blamed: () => core.refusals.verdicts().map((one) => one.source),
    /** Resolves with the table in which the last of these hosts is. */
    async untilThere(host: string): Promise<void> {
      for await (const _next of table.watch(AbortSignal.timeout(5_000))) {
        if (hostsOf(listeners().find((one) => one.name === 'edge:TLS:8443')).includes(host)) return
      }
    },
    /** Resolves when the store remembers so many refusals. */
    async untilKept(count: number): Promise<void> {
      for (;;) {
        const marked = Promise.withResolvers<void>()
        using _listening = store.onMark(() => marked.resolve())
        if ((await store.scan({ kind: 'Refusal' })).length === count) return
        await marked.promise
      }
    },
    stop: () => core.engine.close(),
  }
}

test('Z17 among the hostnames of a listener only those that Envoy refuses are left out, through a restart, until the gateway is written again', async () => {
  const random = createSeededRandom(1)
  const contents = createMemoryContents({ clock: createVirtualClock(0), random })
  const store = createMemoryStore({ clock: createVirtualClock(0), random }, { contents })
  await store.commit({ changes: world(), subject: 'test', intent: 'test' })

  const isBad = (host: string) => host === 'c' || host === 'h'
  const sound = hosts.filter((host) => !isBad(host))
  const sources = ['c', 'h'].map((host) => `${keyText(gateway)}/TLS:8443:${host}`)
  const first = await startLife(contents, isBad)
  expect(first.hosts()).toEqual(hosts)
  first.answer()
  expect(first.hosts()).toEqual(sound)
  expect(first.names()).toEqual(['edge:HTTP:80', 'edge:TLS:8443'])
  expect([...first.refusedNames]).toEqual(['edge:TLS:8443'])
  expect([...first.blamed()].sort()).toEqual(sources)
  await first.untilKept(2)
  first.stop()

  // An Envoy that starts now has nothing to fall back on: it is not given what was refused before.
  const second = await startLife(contents, isBad)
  second.answer()
  expect([second.hosts(), second.refusedNames.size]).toEqual([sound, 0])
  expect([...second.blamed()].sort()).toEqual(sources)

  const all = second.untilThere('c')
  await second.store.commit({ changes: world({ v: '2' }), subject: 'test', intent: 'mended' })
  await all
  await second.untilKept(0)
  expect(second.hosts()).toEqual(hosts)
  expect(second.blamed()).toEqual([])
  second.stop()
})
