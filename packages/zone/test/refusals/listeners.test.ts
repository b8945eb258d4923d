import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryContents, createMemoryStore } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { gateway, hosts, startLife, world } from './listener-life.ts'

test('Z17 among the hostnames of a listener only those that Envoy refuses are left out, through a restart, until the gateway is written again', async () => {
  const random = createSeededRandom(1)
  const contents = createMemoryContents({ clock: createVirtualClock(0), random })
  const store = createMemoryStore({ clock: createVirtualClock(0), random }, { contents })
  await store.commit({ changes: world(), subject: 'test', intent: 'test' })

  const isBad = (host: string) => host === 'c' || host === 'h'
  const good = hosts.filter((host) => !isBad(host))
  const sources = ['c', 'h'].map((host) => `${keyText(gateway)}/TLS:8443:${host}`)
  const first = await startLife(contents, isBad)
  expect(first.hosts()).toEqual(hosts)
  first.answer()
  expect(first.hosts()).toEqual(good)
  expect(first.names()).toEqual(['edge:HTTP:80', 'edge:TLS:8443'])
  expect([...first.refusedNames]).toEqual(['edge:TLS:8443'])
  expect([...first.refusedSources()].sort()).toEqual(sources)
  await first.untilStored(2)
  first.stop()

  // An Envoy that starts now has no earlier configuration, so the zone must not send it the refused chains again.
  const second = await startLife(contents, isBad)
  second.answer()
  expect([second.hosts(), second.refusedNames.size]).toEqual([good, 0])
  expect([...second.refusedSources()].sort()).toEqual(sources)

  const all = second.untilServed('c')
  await second.store.commit({ changes: world({ v: '2' }), subject: 'test', intent: 'mended' })
  await all
  await second.untilStored(0)
  expect(second.hosts()).toEqual(hosts)
  expect(second.refusedSources()).toEqual([])
  second.stop()
})

test('ZR9 ZR12 what the Envoy of one replica refuses is left out at the others too, until it is written again', async () => {
  const random = createSeededRandom(1)
  const contents = createMemoryContents({ clock: createVirtualClock(0), random })
  const store = createMemoryStore({ clock: createVirtualClock(0), random }, { contents })
  await store.commit({ changes: world(), subject: 'test', intent: 'test' })
  const first = await startLife(contents, (host) => host === 'c', 'first')
  const second = await startLife(contents, () => false, 'second')
  expect(first.namesStore()).not.toBe(second.namesStore())
  first.answer()
  await first.untilStored(1)
  await second.read()
  const good = hosts.filter((host) => host !== 'c')
  expect([first.hosts(), second.hosts()]).toEqual([good, good])
  expect(second.refusedSources()).toEqual(first.refusedSources())

  const all = first.untilServed('c')
  await second.store.commit({ changes: world({ v: '2' }), subject: 'test', intent: 'mended' })
  await first.read()
  await all
  await first.untilStored(0)
  await second.read()
  expect([first.hosts(), second.hosts()]).toEqual([hosts, hosts])
  expect([first.refusedSources(), second.refusedSources()]).toEqual([[], []])
  first.stop()
  second.stop()
})
