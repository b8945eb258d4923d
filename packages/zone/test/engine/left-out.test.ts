import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryContents } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { leftOutOf } from '../../src/engine/left-out.ts'
import { global, own, startLife } from '../quarantine/life.ts'

const edge = own('Dataplane', 'edge-1')
const gateway = global('MeshGateway', 'edge')
const plain = { port: 80, protocol: 'HTTP' }
/** A listener that needs mutual TLS, which the mesh of this test does not have. */
const crossMesh = { port: 81, protocol: 'HTTP', hostname: 'a.example', crossMesh: true }
const gatewayOf = (...listeners: object[]) => ({
  selectors: [{ match: { 'kuma.io/service': 'edge' } }],
  conf: { listeners },
})

test('C2 a part that the compiler leaves out is a verdict on the row at fault, in bookmarks and in the status of the zone, until it is repaired', async () => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const contents = createMemoryContents({ clock, random: createSeededRandom(1) })
  const life = await startLife({ clock, contents })
  await life.put(
    [global('Mesh', 'default', ''), {}],
    [gateway, gatewayOf(plain)],
    [edge, { networking: { address: '10.0.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } } }],
    [
      global('MeshGatewayRoute', 'good'),
      {
        selectors: [{ match: { 'kuma.io/service': 'edge' } }],
        conf: {
          http: {
            rules: [
              {
                matches: [{ path: { match: 'PREFIX', value: '/' } }],
                backends: [{ weight: 1, destination: { 'kuma.io/service': 'echo' } }],
              },
            ],
          },
        },
      },
    ],
  )
  const { table } = life.engine.open(keyText(edge), { canBindPort80: true })
  const routes = () => [...(table.value?.resources.get(typeUrls.route)?.values() ?? [])][0]?.contributions?.size
  expect(life.verdicts()).toEqual([])

  await life.put([gateway, gatewayOf(plain, crossMesh)])
  const verdict = { key: keyText(gateway), outcome: 'rejected', subject: '' }
  expect(life.verdicts()).toMatchObject([verdict])
  expect((await life.report())['verdicts']).toMatchObject([verdict])
  expect(routes()).toBe(1)
  const written = (await life.store.get(gateway))?.revision ?? 0
  const reason = expect.stringMatching(/^MeshGateway\/default\/edge: /)
  expect(await life.receipt(written)).toMatchObject({ complete: false, zones: [{ state: 'refused', reason }] })
  await life.put([global('Mesh', 'other', ''), {}])
  expect(await life.receipt((await life.store.head()).revision)).toMatchObject({ complete: true })

  await life.put([gateway, gatewayOf(plain)])
  expect(life.verdicts()).toEqual([])
  expect((await life.report())['verdicts']).toEqual([])
})

test('C2 a verdict names the row of a part, or the proxy if no row is known, once each and in order', () => {
  const problems = [
    { source: 'global/MeshGateway/default/edge/HTTPS:443:a.example', reason: 'no certificate' },
    { source: 'resource cluster a', reason: 'cannot be encoded' },
    { source: 'global/Timeout/default/t', reason: 'is awaited', isNote: true as const },
  ]
  const [one, two] = ['east/Dataplane/default/one', 'east/Dataplane/default/two']
  expect(
    leftOutOf([
      [one, problems],
      [two, problems],
      [two, [{ source: 'global/MeshGateway/default/edge', reason: 'no certificate' }]],
    ]),
  ).toEqual([
    { source: one, reason: 'resource cluster a: cannot be encoded' },
    { source: 'global/MeshGateway/default/edge', reason: 'no certificate' },
  ])
  const many = Array.from({ length: 300 }, (_unused, index) => ({
    source: `global/Retry/default/r${index}`,
    reason: 'no',
  }))
  expect(leftOutOf([[one, many]]).length).toBe(100)
})

test('C2 a reason is cut after 300 characters', () => {
  const reasonOf = (length: number) =>
    leftOutOf([['east/Dataplane/default/one', [{ source: 'global/Retry/default/r', reason: 'x'.repeat(length) }]]])[0]
      ?.reason
  expect([reasonOf(300), reasonOf(301)]).toEqual(['x'.repeat(300), `${'x'.repeat(300)}…`])
})
