import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Client } from '../base/client.ts'
import { startEcho } from './echo-server.ts'
import { type DemoZone, secretFile, token, type ZoneName } from './planes.ts'
import { demoFolder, flags, local, type Stage } from './stage.ts'

export const proxyFile = (name: string): string => join(demoFolder, 'proxies', name)

/** Starts proxies of a demo and the services behind them. */
export async function createProxies(stage: Stage, global: Client, zones: Readonly<Record<ZoneName, DemoZone>>) {
  const { folder, scene, variables } = stage
  const dataplaneToken = await token(global, 'dataplane', { mesh: scene.mesh, validFor: '72h' })
  const dataplaneTokenFile = secretFile(folder, 'dataplane.token', dataplaneToken)

  return {
    /** Starts a proxy as a separate process. Returns its work folder. */
    async start(
      zone: ZoneName,
      name: string,
      file: string,
      given: Record<string, string | number>,
      proxyType: 'dataplane' | 'ingress' = 'dataplane',
    ) {
      const workDir = join(folder, name)
      mkdirSync(workDir, { mode: 0o700 })
      const ingressToken = async () =>
        secretFile(folder, `${name}.token`, await token(global, 'zone', { zone, scope: ['ingress'] }))
      const tokenFile = proxyType === 'ingress' ? await ingressToken() : dataplaneTokenFile
      const text = readFileSync(proxyFile(file), 'utf8')
      const used = Object.entries({ ...variables, address: local, name, ...given }).filter(([key]) =>
        text.includes(`{{${key}}}`),
      )
      stage.processes.startOwn(name, [
        'dataplane',
        ...used.flatMap(([key, value]) => flags({ dataplaneVar: `${key}=${value}` })),
        ...flags({
          proxyType,
          dataplaneFile: proxyFile(file),
          cpAddress: `https://${local}:${zones[zone].proxyPort}`,
          tokenFile,
          caCertFile: join(folder, zone, 'ca.crt'),
          workDir,
          concurrency: 1,
          drainTime: '200ms',
        }),
      ])
      return workDir
    },
    /** Starts a service in this process. Returns the variables of its proxy's resource. */
    async service(zone: ZoneName, service: string, version: string) {
      const servicePort = stage.port()
      const server = await startEcho({ service, zone, version }, local, servicePort)
      stage.onStop(() => server.close())
      return { version, serviceAddress: local, servicePort, port: stage.port() }
    },
  }
}
