import { connect } from 'node:net'
import { authoritySecret, identitySecret } from '@zonemesh/core/emit/secrets.ts'
import type { ProxyTable, SecretNeed, XdsResource } from '@zonemesh/core/emit/table.ts'
import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { createRoot, createWorkloadCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { ok } from '@zonemesh/shared/base/base.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { startEnvoy, startZone, until } from '../conformance/envoy/rig.ts'

/** A real Envoy that runs one compiled table after the other. */
export interface LiveProxy extends AsyncDisposable {
  /** Resolves when Envoy has accepted the table and listens at these addresses. */
  run(table: ProxyTable, places: readonly { readonly address: string; readonly port: number }[]): Promise<void>
}

/** Creates the secrets of proxies of one mesh, each once. */
export async function createAuthority() {
  const life = lifetime(Date.now(), 30)
  const root = await createRoot('explain', life, ['spiffe://default'])
  const made = new Map<string, Promise<XdsResource>>()

  async function secretOf(need: SecretNeed): Promise<XdsResource> {
    if (need.type !== 'identity') return authoritySecret(need.name, root.certificate)
    const uris = [
      ...need.services.map((one) => `spiffe://${need.mesh}/${one}`),
      ...need.tags.map((one) => `kuma://${one}`),
    ]
    const { certificate, key } = await createWorkloadCertificate(root, uris, life)
    return identitySecret(need.name, certificate, key)
  }

  return (need: SecretNeed): Promise<XdsResource> => {
    const text = JSON.stringify(need)
    const secret = made.get(text) ?? secretOf(need)
    made.set(text, secret)
    return secret
  }
}

export async function startLive(
  name: string,
  secretOf: Awaited<ReturnType<typeof createAuthority>>,
  isBuiltinGateway: boolean,
): Promise<LiveProxy> {
  const check = async () => ok({ service: name, isBuiltinGateway, address: '127.0.0.1' })
  const zone = await startZone({
    deps: { bootstrap: { log: silentLog, tokenRequired: () => false, check } },
    ads: { drainMs: 50, retryMs: 50 },
  })
  const envoy = await startEnvoy(zone, name)
  let mark = 0
  return {
    async run(table, places) {
      mark += 1
      const serving = mark
      const secrets = await Promise.all(table.secretNeeds.map(secretOf))
      const byName = new Map(secrets.map((one) => [one.name, one]))
      zone.table.set({ mark: serving, resources: new Map(table.resources).set(typeUrls.secret, byName) })
      await until(`${name} runs table ${serving}`, () => zone.served.some((one) => one >= serving), 30_000)
      if (zone.refusals.length > 0) throw new Error(`${name} refused ${JSON.stringify(zone.refusals)}`)
      for (const { address, port } of places)
        await until(`${name} listens at ${address}:${port}`, () => takesConnections(address, port))
    },
    async [Symbol.asyncDispose]() {
      await envoy[Symbol.asyncDispose]()
      await zone[Symbol.asyncDispose]()
    },
  }
}

const takesConnections = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
