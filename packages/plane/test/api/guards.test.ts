import { deletedZones, rewindOf } from '@zonemesh/plane/api/forget.ts'
import type { ApiPlane } from '@zonemesh/plane/api/plane.ts'
import { err, ok } from '@zonemesh/shared/base/base.ts'
import type { Hold } from '@zonemesh/shared/sync/log/messages.ts'
import { epochKind, positionKey } from '@zonemesh/shared/sync/log/rounds.ts'
import { expect, test } from 'vitest'
import { createPlane, createRoutes, write } from './routes.ts'

const zone = (name: string, enabled?: boolean) => ({
  ...{ origin: 'global', kind: 'Zone', mesh: '', name },
  spec: enabled === undefined ? {} : { enabled },
})
const positionAt = (name: string, revision = 5) => ({
  ...positionKey('global', name),
  spec: { store: 'store-of-zone', revision, commitId: 'c5' },
})
const services = (origin: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ...{ origin, kind: 'AvailableService', mesh: 'default', name: `s${String(index).padStart(2, '0')}` },
  }))
const user = { name: 'ada', groups: [] }
const hold: Hold = { id: 'commit:1.2', origin: 'global', removals: 19, reason: 'many removals' }

test('R36 forget removes exactly the rows of the zone in one round, and rewinds its position', async () => {
  const { plane, call } = await createRoutes()
  const epoch = { ...positionKey('global', 'east'), kind: epochKind }
  await write(plane, [zone('west', false), positionAt('east'), { ...epoch, spec: { epoch: 7, since: 'x' } }])
  await write(plane, [...services('east', 2), ...services('west', 2)])
  const answer = await call('POST', '/zones/east/_forget')
  const revision = answer.headers['Zonemesh-Revision']
  expect(answer).toMatchObject({ status: 200, json: { zone: 'east', rows: 2, revision } })
  const left = await plane.store.scan({ kind: 'AvailableService' })
  expect(left.map(({ key }) => key.origin)).toEqual(['west', 'west'])
  const [first] = services('east', 1)
  expect((await plane.store.history(first ?? epoch))[0]?.state).toBe('forgotten')
  expect((await plane.store.get(positionAt('east')))?.row?.spec).toEqual({
    ...{ store: 'store-of-zone', revision: 0, commitId: '0' },
  })
  expect((await plane.store.get(epoch))?.row?.spec).toEqual({ epoch: 8, since: 'x' })
  const [record] = (await plane.store.records({ after: 0, limit: 10 })).slice(-1)
  expect(record).toMatchObject({ subject: 'mesh-system:admin', intent: 'forget zone east' })
  expect((await call('POST', '/zones/east/_forget')).json).toMatchObject({
    status: 404,
    detail: 'this control plane has no rows of zone "east"',
  })
})

test('R36 a zone without rows is forgotten if only its position remains, and rewinding a zone without state changes nothing', async () => {
  const { plane, call } = await createRoutes()
  await write(plane, [positionAt('east')])
  expect(await call('POST', '/zones/east/_forget')).toMatchObject({ status: 200, json: { rows: 0 } })
  expect(await rewindOf(plane.store, 'none')).toEqual([])
})

test.each<[string, readonly boolean[], number, string | undefined]>([
  ['an enabled Zone', [true], 409, 'the Zone "east" is enabled: delete it first'],
  ['a disabled Zone', [false], 200, undefined],
  ['no Zone', [], 200, undefined],
])('R36 forget is refused while the Zone is enabled: %s', async (_title, enabled, status, detail) => {
  const { plane, call } = await createRoutes()
  await write(plane, [...enabled.map((one) => zone('east', one)), ...services('east', 1)])
  const answer = await call('POST', '/zones/east/_forget')
  expect([answer.status, answer.json.detail]).toEqual([status, detail])
})

test('R36 forget is refused for a Zone that is enabled by default or cannot be parsed, and while its zone is connected', async () => {
  const online = new Set(['north'])
  const { plane, call } = await createRoutes({ isZoneOnline: (name) => online.has(name) })
  await write(plane, [zone('east'), { ...zone('west'), spec: { enabled: 5 } }])
  await write(
    plane,
    ['east', 'west', 'north'].flatMap((name) => services(name, 1)),
  )
  const detailOf = async (name: string) => (await call('POST', `/zones/${name}/_forget`)).json.detail
  expect(await detailOf('east')).toBe('the Zone "east" is enabled: delete it first')
  expect(await detailOf('west')).toBe('the Zone "west" is enabled: delete it first')
  expect(await detailOf('north')).toMatch(/^the control plane of zone "north" is still connected/)
})

test('R36 forget is refused if the Zone is written while its rows are read', async () => {
  const plane = await createPlane()
  await write(plane, services('east', 1))
  const { scan } = plane.store
  let writes = 0
  const racing: ApiPlane['store'] = {
    ...plane.store,
    async scan(...args) {
      if (writes++ === 0) await write(plane, [zone('east', true)])
      return scan(...args)
    },
  }
  const { call } = await createRoutes({ store: racing })
  writes = 0
  expect((await call('POST', '/zones/east/_forget')).status).toBe(412)
  expect(await plane.store.scan({ origin: 'east' })).toHaveLength(1)
})

test.each<[number, number, object, string, number]>([
  [10, 0, {}, '', 200],
  [11, 0, {}, '', 409],
  [11, 30, {}, '', 200],
  [12, 28, {}, '', 200],
  [13, 27, {}, '', 409],
  [11, 0, { declared: true }, '', 200],
  [11, 0, {}, '?declared=true', 200],
])(
  'R36 forget of %i rows beside %i others needs a declaration, or not: %j %s',
  async (rows, others, body, query, status) => {
    const { plane, call } = await createRoutes()
    await write(plane, [...services('east', rows), ...services('west', others)])
    const answer = await call('POST', `/zones/east/_forget${query}`, body)
    expect(answer.status).toBe(status)
    if (status === 409)
      expect(answer.json.detail).toMatch(
        `zone "east" has ${rows} of ${rows + others} AvailableService, more than 30 % and more than 10: `,
      )
  },
)

test('R36 forget is refused for callers that are no administrators, on a zone, for the global, and for a wrong body', async () => {
  const { call, plane } = await createRoutes()
  await write(plane, services('east', 1))
  expect((await call('POST', '/zones/east/_forget', undefined, { user })).status).toBe(403)
  expect((await call('POST', '/zones/global/_forget')).status).toBe(404)
  expect((await call('POST', '/zones/east/_forget', { declared: 'yes' })).json).toMatchObject({ status: 400 })
  for (const [globalApi, address] of [
    ['https://g:1', ' (https://g:1)'],
    ['', ''],
  ] as const) {
    const inZone = await createRoutes({ role: 'zone', origin: 'east', globalApi })
    expect((await inZone.call('POST', '/zones/west/_forget')).json).toMatchObject({
      status: 405,
      detail: `only the global control plane forgets a zone: run this at its API${address}`,
    })
    expect((await inZone.call('POST', '/zones/east/_keep')).json).toMatchObject({
      status: 405,
      detail: `only the global control plane keeps the remaining rows of a lost store of a zone: run this at its API${address}`,
    })
  }
})

test('R36 a deleted zone is one without a Zone whose position is not at the beginning', async () => {
  const plane = await createPlane()
  await write(plane, [zone('west'), positionAt('west'), positionAt('east'), positionAt('south', 0)])
  expect(await deletedZones(plane)).toEqual(['east'])
})

test('R23 release passes the hold on: the global answers 202, because the zone decides, and a zone 200', async () => {
  const asked: unknown[] = []
  const releaseHold = async (...args: unknown[]) => {
    asked.push(args)
    return ok(hold)
  }
  const global = await createRoutes({ releaseHold })
  await write(global.plane, [zone('east')])
  expect(await global.call('POST', '/zones/east/_release', { hold: hold.id })).toMatchObject({
    ...{ status: 202, json: { zone: 'east', hold: { ...hold } } },
  })
  const inZone = await createRoutes({ role: 'zone', origin: 'east', releaseHold })
  expect((await inZone.call('POST', '/zones/east/_release')).status).toBe(200)
  expect(asked).toEqual([
    ['east', hold.id],
    ['east', undefined],
  ])
})

test('R23 release is refused without an administrator, for another zone, without a hold, and with an unknown field', async () => {
  const releaseHold = async () => err('zone "east" holds nothing')
  const inZone = await createRoutes({ role: 'zone', origin: 'east', releaseHold })
  const release = (name: string, body?: unknown) => inZone.call('POST', `/zones/${name}/_release`, body)
  expect((await inZone.call('POST', '/zones/east/_release', {}, { user })).status).toBe(403)
  expect((await release('west')).json.detail).toBe('this is the control plane of zone "east", not of "west"')
  expect((await release('east')).json).toMatchObject({ status: 409, detail: 'zone "east" holds nothing' })
  expect((await release('east', { holt: 'x' })).status).toBe(400)
  const alone = await createRoutes({ role: 'standalone', origin: 'east' })
  expect((await alone.call('POST', '/zones/east/_release')).json.detail).toBe('this control plane holds nothing')
  const global = await createRoutes({ releaseHold })
  expect((await global.call('POST', '/zones/east/_release')).json).toMatchObject({
    ...{ status: 404, title: 'Could not retrieve a resource', detail: 'there is no Zone "east"' },
  })
})

test('R24 keep passes on the zone and the caller, and returns 409 if nothing remains', async () => {
  const asked: unknown[] = []
  let remains = true
  const keepFormer = async (...args: unknown[]) => {
    asked.push(args)
    return remains
  }
  const { plane, call } = await createRoutes({ keepFormer })
  await write(plane, [zone('east')])
  expect((await call('POST', '/zones/none/_keep')).status).toBe(404)
  expect((await call('POST', '/zones/east/_keep', {}, { user })).status).toBe(403)
  expect(await call('POST', '/zones/east/_keep')).toMatchObject({ status: 200, json: { zone: 'east' } })
  remains = false
  expect((await call('POST', '/zones/east/_keep')).json.detail).toBe('nothing remains of a former store of zone "east"')
  expect(asked).toEqual(Array(2).fill(['east', 'mesh-system:admin']))
})
