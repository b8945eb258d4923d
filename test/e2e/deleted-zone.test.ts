import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Scene, startScene, statusOf, throughGateway, until, zonemesh } from './rig.ts'

let scene: Scene
beforeAll(async () => {
  scene = await startScene(910)
}, 120_000)
afterAll(() => scene[Symbol.asyncDispose]())

const global = () => scene.demo.globalAddress
const writeWest = (enabled: boolean) =>
  api(global()).need('PUT', '/zones/west', { type: 'Zone', name: 'west', enabled })
const untilAnswered = (status: number) =>
  until(
    `requests are answered with ${status}`,
    () => throughGateway(scene.demo, '/'),
    (answer) => answer.status === status,
  )
const untilEast = () =>
  until(
    'east has all that the global has',
    async () => (await statusOf(global())).zones.find(({ zone }) => zone === 'east'),
    (east) => east?.current === true,
  )

test('E45 a deleted Zone gets no requests from other zones, and deleting a disabled Zone does not enable it again', async () => {
  await untilAnswered(200)
  // Its Envoys keep running: only the deletion on the global stops the traffic to it.
  const startWest = await scene.demo.processes.kill('zone-west', 'SIGKILL')
  await until(
    'the global has noticed',
    async () => (await statusOf(global())).zones.find(({ zone }) => zone === 'west'),
    (west) => west?.connected === false,
  )
  expect(await zonemesh('delete', 'zone', 'west', '--address', global())).toMatchObject({ code: 0, stderr: '' })
  await untilAnswered(503)

  await writeWest(true)
  await untilAnswered(200)
  await writeWest(false)
  await untilAnswered(503)
  expect(await zonemesh('delete', 'zone', 'west', '--address', global())).toMatchObject({ code: 0, stderr: '' })
  await untilEast()
  for (let count = 0; count < 20; count += 1) expect((await throughGateway(scene.demo, '/')).status).toBe(503)

  await writeWest(true)
  startWest()
  await untilAnswered(200)
}, 120_000)

/** The names of the rows of west on a plane, of kinds that users may list. */
async function rowsOfWest(address: string): Promise<readonly string[]> {
  const lists = await Promise.all(
    ['/dataplanes', '/zoneingresses', '/zoneegresses'].map(async (path) => (await api(address).need('GET', path)).json),
  )
  // The planes answer with this shape.
  const items = (
    lists as { readonly items: readonly { readonly labels?: Record<string, string>; readonly name: string }[] }[]
  ).flatMap((list) => list.items)
  return items.filter(({ labels }) => labels?.['kuma.io/zone'] === 'west').map(({ name }) => name)
}

test('E46 zonemesh zone forget removes all rows of a deleted zone from the global and from the other zones, and the zone can return', async () => {
  const { demo } = scene
  const forget = (...more: string[]) => zonemesh('zone', 'forget', 'west', ...more, '--address', global())
  expect((await rowsOfWest(global())).length).toBeGreaterThan(0)
  expect((await rowsOfWest(demo.zones.east.apiAddress)).length).toBeGreaterThan(0)
  const enabled = await forget()
  expect([enabled.code, enabled.stderr]).toEqual([
    1,
    expect.stringMatching(/the Zone "west" is enabled: delete it first/),
  ])

  const startWest = await demo.processes.kill('zone-west', 'SIGKILL')
  await until(
    'the global has noticed',
    async () => (await statusOf(global())).zones.find(({ zone }) => zone === 'west'),
    (west) => west?.connected === false,
  )
  expect(await zonemesh('delete', 'zone', 'west', '--address', global())).toMatchObject({ code: 0, stderr: '' })
  const shown = await zonemesh('status', '--address', global())
  expect(shown.stdout).toMatch(/^zone west is deleted and its rows are still here; .*zonemesh zone forget west$/m)
  const forgotten = await forget('--wait', 'stored@all')
  expect(forgotten).toMatchObject({ code: 0, stderr: '' })
  expect(forgotten.stdout).toMatch(/^zone west: \d+ rows are removed\nrevision \S+\neast: stored after .* ms\n$/)
  expect(await rowsOfWest(global())).toEqual([])
  expect(await rowsOfWest(demo.zones.east.apiAddress)).toEqual([])
  expect((await zonemesh('status', '--address', global())).stdout).not.toContain('zone forget')
  const again = await forget()
  expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/no rows of zone "west"/)])

  await writeWest(true)
  startWest()
  await until(
    'its rows are back in east',
    () => rowsOfWest(demo.zones.east.apiAddress),
    (names) => names.length > 0,
  )
  await untilAnswered(200)
}, 120_000)
