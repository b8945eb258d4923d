import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { type Client, createClient } from '../base/client.ts'
import { untilAnswer } from '../base/http.ts'
import { local } from './scene-file.ts'
import { flags, limitMs, type Stage } from './stage.ts'

/** The addresses of one zone of a scene. */
export interface ZonePlace {
  readonly apiAddress: string
  readonly healthAddress: string
  readonly dnsPort: number
  readonly proxyPort: number
}

/** Writes a token or join string to a file that only its owner can read. */
export function secretFile(folder: string, name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, `${text}\n`, { mode: 0o600 })
  return path
}

/** Like `secretFile`, but a file of an earlier start stays as it is. */
export async function keptSecretFile(folder: string, name: string, make: () => Promise<string>): Promise<string> {
  const path = join(folder, name)
  return existsSync(path) ? path : secretFile(folder, name, await make())
}

export async function token(global: Client, kind: 'zone' | 'dataplane' | 'user', body: object): Promise<string> {
  return (await global.need('POST', `/tokens/${kind}`, body)).text.trim()
}

/** A client of this user for the API of a plane on this machine. */
export const ownClient = (address: string): Client =>
  createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })

async function untilApi(address: string): Promise<Client> {
  await untilAnswer(
    `${address} answers`,
    limitMs,
    () => ownClient(address).call('GET', '/'),
    (reply) => reply.status === 200,
    (reply) => String(reply.status),
  )
  // A new client: the plane has published its admin key by now.
  return ownClient(address)
}

/** Starts the global. Resolves when it answers. */
export async function startGlobalProcess(stage: Stage) {
  const { folder, processes } = stage
  const ports = {
    apiPort: stage.port('global.api'),
    apiTlsPort: stage.port('global.api-tls'),
    healthPort: stage.port('global.health'),
    syncPort: stage.port('global.sync'),
  }
  const address = `http://${local}:${ports.apiPort}`
  const dataDir = join(folder, 'global')
  processes.startOwn('global', ['global', ...flags({ dataDir, host: local, ...ports })])
  const global = await stage.orFail(untilApi(address))
  return { global, address, syncPort: ports.syncPort }
}

/** Makes the token of an administrator, for commands that take no admin key. */
export async function adminTokenOf(global: Client, folder: string) {
  const admin = { name: 'demo', groups: ['mesh-system:admin'], validFor: '72h' }
  const adminToken = await token(global, 'user', admin)
  return { adminToken, adminTokenFile: secretFile(folder, 'admin.token', adminToken) }
}

/** Creates a Zone and starts its control plane with a join string, as a user does. */
export async function startZoneProcess(
  stage: Stage,
  global: Client,
  syncPort: number,
  zone: string,
): Promise<ZonePlace> {
  const { folder, processes } = stage
  const joinFile = await keptSecretFile(folder, `${zone}.join`, async () => {
    // The response contains the pin of the authority to trust.
    const { pin } = (await global.need('GET', '/_join')).json as { readonly pin: string }
    await global.need('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
    const zoneToken = await token(global, 'zone', { zone, scope: ['cp'] })
    return encodeJoin({ address: `https://${local}:${syncPort}`, token: zoneToken, pin })
  })
  const ports = {
    apiPort: stage.port(`${zone}.api`),
    apiTlsPort: stage.port(`${zone}.api-tls`),
    healthPort: stage.port(`${zone}.health`),
    proxyPort: stage.port(`${zone}.proxies`),
    dnsPort: stage.port(`${zone}.dns`),
  }
  const given = flags({ joinFile, dataDir: join(folder, zone), host: local, ...ports })
  processes.startOwn(`zone-${zone}`, ['zone', ...given])
  return {
    apiAddress: `http://${local}:${ports.apiPort}`,
    healthAddress: `http://${local}:${ports.healthPort}`,
    dnsPort: ports.dnsPort,
    proxyPort: ports.proxyPort,
  }
}
