import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fillVariables } from '../files/documents.ts'
import { local } from '../scene/scene-file.ts'
import type { Stage } from '../scene/stage.ts'
import { demoFolder } from './files.ts'
import { startNameGateway } from './name-gateway.ts'
import { type DemoNames, meshName } from './names.ts'

/** The path of nginx, on PATH or in the folders where distributions install it. */
function findNginx(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path))
}

/** Starts a delegated gateway behind a sidecar: nginx, or a small Node proxy if nginx is not installed. */
export async function startDelegatedGateway(
  stage: Stage,
  { service, servicePort }: DemoNames,
  resolver: string,
  port: number,
): Promise<'nginx' | 'node'> {
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
  writeFileSync(file, fillVariables(readFileSync(join(demoFolder, 'proxies/nginx.conf'), 'utf8'), values, 'nginx.conf'))
  stage.processes.start('nginx', nginx, ['-p', prefix, '-c', file, '-e', join(prefix, 'error.log')])
  return 'nginx'
}
