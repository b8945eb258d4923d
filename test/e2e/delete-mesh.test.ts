import { join } from 'node:path'
import { createProcesses, type Processes } from '@zonemesh/cli/demo/processes.ts'
import { freePorts } from '@zonemesh/cli/demo/scene.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { api, type Folder, local, temporaryFolder, until, zonemesh } from './rig.ts'

let folder: Folder
let processes: Processes
let address = ''

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  const [apiPort = 0] = await freePorts(systemRandom, 1)
  address = `http://${local}:${apiPort}`
  processes.startOwn('zone-home', [
    ...['zone', '--name', 'home', '--data-dir', join(folder.path, 'home'), '--host', local, '--api-port', `${apiPort}`],
    ...['--api-tls-port', '0', '--health-port', '0', '--proxy-port', '0', '--dns-port', '0'],
  ])
  await until(
    'the zone answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
})
afterAll(async () => {
  await processes.stop()
  folder[Symbol.dispose]()
})

const names = Array.from({ length: 50 }, (_, index) => `web-${index}`)
const dataplane = (name: string) => ({
  type: 'Dataplane',
  mesh: 'large',
  name,
  networking: { address: local, inbound: [{ port: 18_080, tags: { 'kuma.io/service': name } }] },
})

test('R22 a mesh that had fifty services is deleted without a declaration', async () => {
  const documents = [{ type: 'Mesh', name: 'large' }, ...names.map(dataplane)]
  await api(address).need('POST', '/_commit', { documents })
  const deletions = names.map((name) => ({ type: 'Dataplane', mesh: 'large', name }))
  await api(address).need('POST', '/_commit', { documents: [], deletions, declared: true })
  const outcome = await zonemesh('delete', 'mesh', 'large', '--address', address)
  expect([outcome.code, outcome.stderr]).toEqual([0, ''])
  expect((await api(address).call('GET', '/meshes/large')).status).toBe(404)
})
