import { createHash } from 'node:crypto'
import { toBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { file_zonemesh_sync_v1_sync } from '../../gen/zonemesh/sync/v1/sync_pb.js'
import { createMemoryStore } from '../../src/store/memory.ts'
import { agree, ownProtocol, type ProtocolOffer } from '../../src/sync/log/protocol.ts'
import { createTestAuthority, type TestAuthority } from './certificates.ts'
import { createScene, names, put, until, write } from './mesh.ts'
import { callAsZone } from './raw-zone.ts'

let authority: TestAuthority
let scene: ReturnType<typeof createScene>

beforeAll(async () => {
  authority = await createTestAuthority()
})
beforeEach(() => {
  scene = createScene(authority)
})
afterEach(() => scene.close())

const speaks = (min: number, max: number, features: readonly string[] = []): ProtocolOffer => ({ min, max, features })
const memory = () => createMemoryStore(scene.deps)

/** The wire schema that was last considered, and the version that it had then. */
const considered = {
  version: 1,
  sha256: 'f029bd5ee5cb02243db81ce6eb7ba005b61bd876f2d5082c2bf36ab518d7a004',
}

describe('versions of the sync protocol', () => {
  it('Y23 sync.proto has the schema that was reviewed for this version', () => {
    const bytes = toBinary(FileDescriptorProtoSchema, file_zonemesh_sync_v1_sync.proto)
    const found = { version: ownProtocol.max, sha256: createHash('sha256').update(bytes).digest('hex') }
    expect(
      found,
      'sync.proto has changed. Decide whether a peer of the former build misreads the new schema: a removed or renumbered ' +
        'field, another meaning, a frame that must not be ignored. If it does, raise `max` in src/sync/log/protocol.ts and ' +
        'serve the former version as well. Reserve the numbers of removed fields. Then record version and hash here',
    ).toEqual(considered)
  })

  it.each([
    ['the same', speaks(1, 1), speaks(1, 1), 1],
    ['a newer global', speaks(1, 2), speaks(1, 1), 1],
    ['a newer zone', speaks(1, 1), speaks(1, 2), 1],
    ['both newer', speaks(1, 2), speaks(1, 2), 2],
    ['ranges with one version in common', speaks(2, 4), speaks(1, 2), 2],
  ])('Y23 both ends use the highest common version: %s', (_, global, zone, protocol) => {
    expect(agree(global, zone, 'east')).toEqual({ ok: true, value: { protocol, features: [] } })
  })

  it('Y23 a feature is used only if both ends name it', () => {
    const [global, zone] = [speaks(1, 1, ['zip', 'clocks', 'batch']), speaks(1, 1, ['clocks', 'batch', 'later'])]
    expect(agree(global, zone, 'east')).toMatchObject({ ok: true, value: { features: ['batch', 'clocks'] } })
  })

  it.each([
    ['1 to 2', [speaks(1, 2), speaks(1, 1), speaks(1, 2)], [1, 2]],
    ['1', [speaks(1, 1), speaks(1, 2), speaks(1, 1)], [1, 1]],
  ] as const)(
    'Y23 a global that speaks versions %s works with zones of two builds',
    async (_, [own, west, east], expected) => {
      const [global, ...zones] = [memory(), memory(), memory()]
      const server = await scene.server(global, { protocol: own })
      const uplinks = [
        scene.uplink(zones[0] ?? global, 'west', server.port, { protocol: west }),
        scene.uplink(zones[1] ?? global, 'east', server.port, { protocol: east }),
      ]
      await write(global, put('global', 'Policy', 'down'))
      for (const [index, zone] of zones.entries()) {
        await write(zone, put(['west', 'east'][index] ?? '', 'Service', 'up'))
        await until(zone, async () => (await names(zone, 'Policy')).length === 1)
      }
      for (const zone of zones)
        await until(zone, async () => (await names(zone, 'Service')).join(' ') === 'east/up west/up')
      const agreed = ['west', 'east'].map((zone) => server.zones().get(zone)?.agreement.protocol)
      expect(agreed).toEqual(expected)
      expect(uplinks.map((uplink) => uplink.state.value.agreement?.protocol)).toEqual(expected)
    },
  )

  it.each([
    [
      speaks(2, 3),
      speaks(1, 1),
      'the global speaks sync protocol 2 to 3 and zone "west" speaks 1: upgrade zone "west"',
    ],
    [speaks(1, 1), speaks(2, 3), 'the global speaks sync protocol 1 and zone "west" speaks 2 to 3: upgrade the global'],
  ])(
    'Y23 ranges without a common version are refused with both ranges and the side to upgrade',
    async (own, theirs, reason) => {
      const server = await scene.server(memory(), { protocol: own })
      const zone = memory()
      const uplink = scene.uplink(zone, 'west', server.port, { protocol: theirs })
      for await (const { phase } of uplink.state.watch(AbortSignal.timeout(5_000))) if (phase === 'refused') break
      expect(uplink.state.value).toMatchObject({ phase: 'refused', reason })
      expect(server.zones().get('west')).toMatchObject({ connected: false, lastEnd: reason, lastEndCode: 'protocol' })
    },
  )

  it('Y23 a hello with only one number, as former builds send it, means this version only', async () => {
    const server = await scene.server(memory(), { protocol: speaks(1, 2) })
    using west = await callAsZone(authority, server.port, 'west', { protocol: speaks(0, 1) })
    expect((await west.next('welcome')).welcome).toMatchObject({ protocol: 1, features: [] })
  })
})
