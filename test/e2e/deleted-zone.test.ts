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

test('E45 a deleted Zone gets no requests from other zones, and deleting a disabled one does not enable it again', async () => {
  await untilAnswered(200)
  // Its Envoys go on: only the word of the global ends the way there.
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
