import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultConfig } from '@zonemesh/dataplane/contract.ts'
import { partAddress } from '@zonemesh/dataplane/part.ts'
import { fillVariables } from '../base/documents.ts'
import { untilAnswer } from './http.ts'
import { startNameGateway } from './name-gateway.ts'
import { proxyFile } from './proxies.ts'
import { meshName } from './scene.ts'
import { limitMs, local, type Stage } from './stage.ts'

/** The path of nginx, on PATH or in the folders where distributions install it. */
function findNginx(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path))
}

/** The resolver in the loopback network that a proxy has claimed. The proxy writes the network to its work folder. */
export async function claimedResolver(workDir: string): Promise<string> {
  return untilAnswer(
    'the sidecar of the delegated gateway has a resolver',
    limitMs,
    async () => {
      const file = join(workDir, 'part.json')
      if (!existsSync(file)) return ''
      // The proxy itself writes this file.
      const { part } = JSON.parse(readFileSync(file, 'utf8')) as { readonly part: number }
      return `${partAddress(part, 1)}:${defaultConfig.dns.port}`
    },
    (text) => text !== '',
    () => 'none',
  )
}

/** Starts a delegated gateway behind a sidecar: nginx, or a small Node proxy if nginx is not installed. */
export async function startDelegatedGateway(stage: Stage, resolver: string, port: number): Promise<'nginx' | 'node'> {
  const { service, servicePort } = stage.scene
  const nginx = findNginx()
  if (!nginx) {
    const server = await startNameGateway(
      { resolver: async () => resolver, name: meshName(service), port: servicePort },
      local,
      port,
    )
    stage.onStop(() => server.close())
    return 'node'
  }
  const prefix = join(stage.folder, 'nginx')
  mkdirSync(prefix, { mode: 0o755 })
  const values = {
    prefix,
    resolver,
    listen: `${local}:${port}`,
    serviceName: meshName(service),
    serviceNamePort: String(servicePort),
  }
  const file = join(prefix, 'nginx.conf')
  writeFileSync(file, fillVariables(readFileSync(proxyFile('nginx.conf'), 'utf8'), values, 'nginx.conf'))
  stage.processes.start('nginx', nginx, ['-p', prefix, '-c', file, '-e', join(prefix, 'error.log')])
  return 'nginx'
}
