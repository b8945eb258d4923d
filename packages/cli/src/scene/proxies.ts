import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import type { Client } from '../base/client.ts'
import { startEchoService } from './echo-service.ts'
import { fillPlaceholders } from './placeholders.ts'
import { keptSecretFile, token, type ZonePlace } from './planes.ts'
import { claimedResolver } from './resolver.ts'
import { local, type SceneProxy } from './scene-file.ts'
import { flags, type Stage } from './stage.ts'

/** The scope of a zone token that a proxy of this kind needs; a Dataplane has a token of its own sort. */
const scopes: ReadonlyMap<unknown, string> = new Map([
  ['ZoneIngress', 'ingress'],
  ['ZoneEgress', 'egress'],
])

/** Starts the proxy of a resource as a process in a zone. Returns its work folder. */
export async function startProxyProcess(
  { folder, processes }: Pick<Stage, 'folder' | 'processes'>,
  global: Client,
  zone: string,
  { proxyPort }: ZonePlace,
  resource: JsonObject,
): Promise<string> {
  const name = String(resource['name'])
  const workDir = join(folder, name)
  mkdirSync(workDir, { recursive: true, mode: 0o700 })
  const dataplaneFile = join(workDir, 'resource.yaml')
  writeFileSync(dataplaneFile, stringify(resource), { mode: 0o600 })
  const scope = scopes.get(resource['type'])
  const tokenFile =
    scope === undefined
      ? await dataplaneTokenFile(folder, global, resource)
      : await keptSecretFile(folder, `${name}.token`, () => token(global, 'zone', { zone, scope: [scope] }))
  processes.startOwn(name, [
    'dataplane',
    ...flags({
      proxyType: scope ?? 'dataplane',
      dataplaneFile,
      cpAddress: `https://${local}:${proxyPort}`,
      tokenFile,
      caCertFile: join(folder, zone, 'ca.crt'),
      workDir,
      concurrency: 1,
      drainTime: '200ms',
    }),
  ])
  return workDir
}

/** One token for all proxies of a mesh, because one user runs them. */
function dataplaneTokenFile(folder: string, global: Client, { mesh = 'default' }: JsonObject): Promise<string> {
  const name = mesh === 'default' ? 'dataplane.token' : `dataplane-${String(mesh)}.token`
  return keptSecretFile(folder, name, () => token(global, 'dataplane', { mesh }))
}

/** The name of the process or listener of the service behind a proxy. */
export const serviceRole = (proxy: string): string => `${proxy}-service`

/** Starts a proxy and the service behind it. */
export async function startSceneProxy(
  stage: Stage,
  global: Client,
  place: ZonePlace,
  proxy: SceneProxy,
): Promise<void> {
  const { echo, zone } = proxy
  if (echo) {
    const service = await startEchoService({ service: echo.service, zone, version: echo.version }, local, echo.port)
    stage.services.set(serviceRole(proxy.name), service)
    stage.onStop(() => service.stop())
  }
  const workDir = await startProxyProcess(stage, global, zone, place, proxy.resource)
  if (proxy.run) await startCommand(stage, workDir, proxy.name, proxy.run, proxy.files)
}

async function startCommand(
  stage: Stage,
  workDir: string,
  name: string,
  command: readonly string[],
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const folder = join(workDir, 'service')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const needsResolver = JSON.stringify([command, files]).includes('{resolver}')
  const resolver = needsResolver ? await stage.orFail(claimedResolver(workDir)) : ''
  const fill = <T>(value: T): T => fillPlaceholders(value, { port: stage.port, folder, resolver }, name)
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), fill(text), { mode: 0o600 })
  const [first = '', ...words] = fill(command).map(String)
  const role = serviceRole(name)
  if (first === 'zonemesh') stage.processes.startOwn(role, words)
  else stage.processes.start(role, first, words)
}
