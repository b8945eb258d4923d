import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { type Client, createClient } from '../base/client.ts'
import { readDocuments } from '../base/documents.ts'
import { untilAnswer } from './http.ts'
import type { Stage } from './stage.ts'
import { demoFolder, flags, limitMs, local } from './stage.ts'

export type ZoneName = 'east' | 'west'

/** The addresses of one zone of a demo. */
export interface DemoZone {
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

export async function token(global: Client, kind: 'zone' | 'dataplane' | 'user', body: object): Promise<string> {
  return (await global.need('POST', `/tokens/${kind}`, body)).text.trim()
}

async function untilApi(address: string): Promise<Client> {
  const client = createClient({ address, token: undefined, tokenFile: undefined, caCertFile: undefined })
  await untilAnswer(
    `${address} answers`,
    limitMs,
    () => client.call('GET', '/'),
    (reply) => reply.status === 200,
    (reply) => String(reply.status),
  )
  return client
}

/** Starts the global. Resolves when it answers. */
export async function startGlobalProcess(stage: Stage) {
  const { folder, processes } = stage
  const [apiPort, apiTlsPort, healthPort, syncPort] = [stage.port(), stage.port(), stage.port(), stage.port()]
  const address = `http://${local}:${apiPort}`
  const dataDir = join(folder, 'global')
  processes.startOwn('global', [
    'global',
    ...flags({ dataDir, host: local, apiPort, apiTlsPort, healthPort, syncPort }),
  ])
  const global = await stage.orFail(untilApi(address))
  const admin = { name: 'demo', groups: ['mesh-system:admin'], validFor: '72h' }
  const adminToken = await token(global, 'user', admin)
  const adminTokenFile = secretFile(folder, 'admin.token', adminToken)
  return { global, address, adminToken, adminTokenFile, syncPort }
}

/** Creates a Zone and starts its control plane with a join string, as a user does. */
export async function startZoneProcess(
  stage: Stage,
  global: Client,
  syncPort: number,
  zone: ZoneName,
): Promise<DemoZone> {
  const { folder, processes } = stage
  // The response contains the pin of the authority to trust.
  const { pin } = (await global.need('GET', '/_join')).json as { readonly pin: string }
  await global.need('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
  const zoneToken = await token(global, 'zone', { zone, scope: ['cp'] })
  const joinFile = secretFile(
    folder,
    `${zone}.join`,
    encodeJoin({ address: `https://${local}:${syncPort}`, token: zoneToken, pin }),
  )
  const [apiPort, apiTlsPort, healthPort, proxyPort, dnsPort] = [
    stage.port(),
    stage.port(),
    stage.port(),
    stage.port(),
    stage.port(),
  ]
  const dataDir = join(folder, zone)
  const given = flags({ joinFile, dataDir, host: local, apiPort, apiTlsPort, healthPort, proxyPort, dnsPort })
  processes.startOwn(`zone-${zone}`, ['zone', ...given])
  return {
    apiAddress: `http://${local}:${apiPort}`,
    healthAddress: `http://${local}:${healthPort}`,
    dnsPort,
    proxyPort,
  }
}

function onlineZones(status: unknown): number {
  const zones: unknown = status !== null && typeof status === 'object' ? Reflect.get(status, 'zones') : undefined
  return Array.isArray(zones) ? zones.filter((zone: { connected?: boolean }) => zone.connected === true).length : 0
}

/** Applies the policies of the scene in one commit, and checks that both zones are online and have stored it. */
export async function applyPolicies(stage: Stage, global: Client): Promise<void> {
  const documents = await readDocuments([join(demoFolder, 'policies')], stage.variables)
  const reply = await global.need('POST', '/_commit', {
    documents: documents.map((one) => one.content),
    intent: 'the demo',
  })
  // The plane answers with its own types.
  const { revision, outcomes } = reply.json as {
    readonly revision: string
    readonly outcomes: readonly { readonly outcome: string; readonly name: string; readonly detail?: string }[]
  }
  const bad = outcomes.find((one) => one.outcome === 'refused')
  if (bad) throw new Error(`the demo's own ${bad.name} was refused: ${bad.detail}`)
  const online = untilAnswer(
    'zones online',
    limitMs,
    () => global.need('GET', '/_status'),
    (status) => onlineZones(status.json) === 2,
    (status) => status.text,
  )
  await stage.orFail(online)
  stage.steps.done('zones online: east, west')
  const receipt = await global.need('GET', `/_receipts/${encodeURIComponent(revision)}?wait=stored@all&timeout=20s`)
  const { complete, zones } = receipt.json as {
    readonly complete: boolean
    readonly zones: readonly { readonly zone: string }[]
  }
  if (!complete) throw new Error(`the policies did not reach every zone: ${receipt.text}`)
  const where = zones.map((one) => one.zone).join(' and ')
  stage.steps.done(`policies synced: ${outcomes.length} resources stored in ${where} (${revision})`)
}
