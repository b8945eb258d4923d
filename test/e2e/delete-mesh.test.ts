import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses, type Processes } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startHomeZone } from './home-zone.ts'
import { api, type Folder, local, temporaryFolder, zonemesh } from './rig.ts'

let folder: Folder
let processes: Processes
let address = ''

beforeAll(async () => {
  folder = temporaryFolder()
  processes = createProcesses(folder.path)
  const ports = await freePorts(systemRandom, 2)
  ;({ address } = await startHomeZone(processes, folder, () => ports.pop() ?? 0))
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
