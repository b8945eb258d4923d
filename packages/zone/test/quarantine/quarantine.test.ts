import { typeUrls } from '@zonemesh/core/emit/table.ts'
import type { QuarantineSpec } from '@zonemesh/core/kinds/internal.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryContents } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { global, own, startLife } from './life.ts'

const startMs = Date.UTC(2026, 0, 1)
const edge = own('Dataplane', 'edge-1')
const poison = global('MeshGatewayRoute', 'poison')

const route = (path: string, host: string) => ({
  selectors: [{ match: { 'kuma.io/service': 'edge' } }],
  conf: {
    http: {
      hostnames: [host],
      rules: [
        {
          matches: [{ path: { match: 'PREFIX', value: path } }],
          backends: [{ weight: 1, destination: { 'kuma.io/service': 'echo' } }],
        },
      ],
    },
  },
})

const world = [
  [global('Mesh', 'default', ''), {}],
  [
    global('MeshGateway', 'edge'),
    { selectors: [{ match: { 'kuma.io/service': 'edge' } }], conf: { listeners: [{ port: 80, protocol: 'HTTP' }] } },
  ],
  [edge, { networking: { address: '10.0.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } } }],
  [global('MeshGatewayRoute', 'good'), route('/', 'good.example')],
] as const

function place() {
  const clock = createVirtualClock(startMs)
  return { clock, contents: createMemoryContents({ clock, random: createSeededRandom(1) }) }
}

type Life = Awaited<ReturnType<typeof startLife>>

/** The routes that the gateway's Envoy is given. */
function open(life: Life) {
  const { table } = life.engine.open(keyText(edge), { canBindPort80: true })
  return () => [...([...(table.value?.resources.get(typeUrls.route)?.values() ?? [])][0]?.contributions?.keys() ?? [])]
}

const keptOf = async (life: Life) =>
  (await life.store.scan({ kind: 'Quarantine' })).map((row) => (row.spec as QuarantineSpec).source) // as it was put

test('Z20 a valid row that crashes the compiler is quarantined after the first crash, and all other rows of its commit are served', async () => {
  const life = await startLife({ ...place(), poisonous: [keyText(poison)] })
  await life.put(...world)
  const routes = open(life)
  expect(routes()).toEqual([keyText(global('MeshGatewayRoute', 'good'))])
  await life.put(
    [poison, route('/p', 'poison.example')],
    [global('MeshGatewayRoute', 'other'), route('/o', 'o.example')],
  )
  expect(routes()).toEqual(['good', 'other'].map((name) => keyText(global('MeshGatewayRoute', name))))
  expect(await keptOf(life)).toEqual([keyText(poison)])
  // Whatever else changes, it is not met again.
  const crashes = life.crashes()
  await life.put([global('MeshGatewayRoute', 'good'), route('/new', 'good.example')])
  expect([routes().length, life.crashes()]).toEqual([2, crashes])
})

test('Z21 a restarted zone leaves out the rows that crashed it before it compiles anything', async () => {
  const here = place()
  const first = await startLife({ ...here, poisonous: [keyText(poison)] })
  await first.put(...world, [poison, route('/p', 'poison.example')])
  open(first)
  await first.settle()
  expect(first.crashes()).toBeGreaterThan(0)
  first.stop()
  here.clock.advance(60_000)
  const second = await startLife({ ...here, poisonous: [keyText(poison)] })
  expect(open(second)()).toEqual([keyText(global('MeshGatewayRoute', 'good'))])
  await second.settle()
  expect([second.crashes(), await keptOf(second)]).toEqual([0, [keyText(poison)]])
  expect((await second.report())['quarantined']).toMatchObject([{ since: new Date(startMs).toISOString() }])
})

test('Z22 a row that is written again, or read by another version of the software, is judged again', async () => {
  const here = place()
  const life = await startLife({ ...here, poisonous: [keyText(poison)] })
  await life.put(...world, [poison, { selectors: 7 }])
  const routes = open(life)
  expect([await keptOf(life), life.crashes()]).toEqual([[keyText(poison)], 0])
  await life.put([poison, route('/p', 'poison.example')])
  // Its shape is right now, but the compiler fails of it: another reason, under the same name.
  expect(life.verdicts().map((one) => one.reason)).toEqual([
    `undefined is not a function in ${keyText(poison)} (version 1)`,
  ])
  expect(routes().length).toBe(1)
  life.stop()

  const mended = await startLife({ ...here, software: '2' })
  expect(open(mended)().length).toBe(2)
  expect([await keptOf(mended), mended.verdicts()]).toEqual([[], []])
  mended.stop()

  const old = await startLife({ ...here, poisonous: [keyText(poison)] })
  const again = open(old)
  await old.settle()
  expect([again().length, await keptOf(old)]).toEqual([1, [keyText(poison)]])
  await old.store.commit({ changes: [{ op: 'forget', key: poison }], subject: 'test', intent: 'test' })
  await old.settle()
  expect([await keptOf(old), old.verdicts()]).toEqual([[], []])
})

test('Z23 quarantined rows are reported with the reason and the invalid field, in the status of the zone and to the global', async () => {
  const life = await startLife(place())
  await life.put(...world, [poison, { ...route('/', 'a'), selectors: [{ match: 3 }] }])
  const [verdict] = life.verdicts()
  expect(verdict).toMatchObject({ key: keyText(poison), outcome: 'quarantined', subject: '' })
  expect(verdict?.reason).toMatch(/^selectors\[0\]\.match: .*\(version 1\)$/)
  expect((await life.report())['quarantined']).toEqual([
    {
      key: keyText(poison),
      reason: expect.stringMatching(/^selectors\[0\]\.match: /),
      since: new Date(startMs).toISOString(),
    },
  ])
  const written = (await life.store.get(poison))?.revision ?? 0
  const reason = expect.stringMatching(/^MeshGatewayRoute\/default\/[a-z]+: selectors\[0\]\.match: /)
  expect(await life.receipt(written)).toMatchObject({ complete: false, zones: [{ state: 'refused', reason }] })
  expect(open(life)()).toEqual([keyText(global('MeshGatewayRoute', 'good'))])
})

test('Z24 a name with a quarantined address is not answered, and resolves again when the row is written again', async () => {
  const life = await startLife(place())
  const address = own('VirtualAddress', 'echo')
  await life.put([address, { number: 3 }])
  expect(life.names.forMesh('default').get('echo.mesh')?.number).toBe(3)
  await life.put([address, { number: 'four' }])
  expect(life.names.forMesh('default').size).toBe(0)
  await life.put([address, { number: 4 }])
  expect(life.names.forMesh('default').get('echo.mesh')?.number).toBe(4)
})

test('Z24 a name whose address crashes the compiler is removed, and its quarantine ends when the row is deleted', async () => {
  const address = own('VirtualAddress', 'echo')
  const life = await startLife({ ...place(), poisonous: [keyText(address)] })
  const sidecar = own('Dataplane', 'client')
  const inbound = [{ port: 80, tags: { 'kuma.io/service': 'client' } }]
  await life.put(...world, [sidecar, { networking: { address: '10.0.0.2', inbound } }], [address, { number: 3 }])
  expect(life.names.forMesh('default').size).toBe(1)
  life.engine.open(keyText(sidecar), { part: 1, canBindPort80: true })
  await life.settle()
  expect([life.names.forMesh('default').size, await keptOf(life)]).toEqual([0, [keyText(address)]])
  await life.store.commit({ changes: [{ op: 'delete', key: address }], subject: 'test', intent: 'test' })
  await life.settle()
  expect(await keptOf(life)).toEqual([])
})
