import { join } from 'node:path'
import type { Processes } from '@zonemesh/cli/scene/processes.ts'
import { expect } from 'vitest'
import { api, type Folder, local, until, zonemesh } from './rig.ts'

/** A mesh with mutual TLS in which every client may call every service. */
export const securedMesh = `type: Mesh
name: default
mtls:
  enabledBackend: ca-1
  backends: [{ name: ca-1, type: builtin }]
---
type: TrafficPermission
mesh: default
name: allow-all
sources: [{ match: { kuma.io/service: '*' } }]
destinations: [{ match: { kuma.io/service: '*' } }]
`

/** Starts the zone "home" without a global and waits until its API answers. `port` returns a free port. */
export async function startHomeZone(
  processes: Processes,
  folder: Folder,
  port: () => number,
  environment?: NodeJS.ProcessEnv,
) {
  const [apiPort, proxyPort] = [port(), port()]
  const address = `http://${local}:${apiPort}`
  const words = [
    ...['zone', '--name', 'home', '--data-dir', join(folder.path, 'home'), '--host', local],
    ...['--api-port', `${apiPort}`, '--api-tls-port', '0', '--health-port', '0'],
    ...['--proxy-port', `${proxyPort}`, '--dns-port', '0'],
  ]
  processes.startOwn('zone-home', words, environment)
  await until(
    'the zone answers',
    () => api(address).call('GET', '/'),
    ({ status }) => status === 200,
  )
  return { address, proxyAddress: `https://${local}:${proxyPort}` }
}

/** Writes a token for proxies to a file and returns its path. */
export async function dataplaneToken(folder: Folder, address: string): Promise<string> {
  const file = join(folder.path, 'dataplane.token')
  expect(await zonemesh('token', 'dataplane', '--out', file, '--address', address)).toMatchObject({ code: 0 })
  return file
}
