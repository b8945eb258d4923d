import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Place, placesOf, portFault } from '../base/free-ports.ts'
import { planePorts, readKept } from '../scene/ports.ts'
import { local, readSceneFile } from '../scene/scene-file.ts'
import { type Finding, failed, ok, warning } from './finding.ts'

const usual = { host: '0.0.0.0', apiPort: 5681, apiTlsPort: 5682, healthPort: 5680 }

/** The listeners of a global and a zone with the usual ports. */
const usualPlaces: readonly Place[] = [
  ...placesOf(usual),
  { what: 'zones', host: usual.host, port: 5685, option: '--sync-port' },
  { what: 'proxies', host: usual.host, port: 5678, option: '--proxy-port' },
  { ...{ what: 'DNS', host: usual.host, port: 5653, option: '--dns-port' }, protocols: ['udp', 'tcp'] },
]

/**
 * Checks that the ports of a scene are free, or the usual ports if there is no scene file. A scene that runs, and a
 * plane that answers on this machine, hold these ports on purpose.
 */
export async function checkPorts(
  { file, folder }: { readonly file: string; readonly folder: string },
  { scene, plane }: { readonly scene: boolean; readonly plane: boolean },
): Promise<readonly Finding[]> {
  if (scene) return [ok('ports', 'in use by the scene that runs')]
  // Only the usual name may be absent: then there is no scene.
  if (file === 'zonemesh.yaml' && !existsSync(file))
    return plane ? [ok('ports', 'in use by the plane that runs on this machine')] : usualPorts()
  return scenePorts(file, folder).catch((thrown: unknown) => [
    failed('ports', messageOf(thrown), 'correct the file, or name another with -f'),
  ])
}

async function usualPorts(): Promise<readonly Finding[]> {
  const faults = (await Promise.all(usualPlaces.map(portFault))).flatMap((fault) => fault ?? [])
  if (faults.length === 0)
    return [
      ok(
        'ports',
        `free: ${usualPlaces
          .map(({ port }) => port)
          .sort((a, b) => a - b)
          .join(', ')}`,
      ),
    ]
  return faults.map(({ message }) => failed('ports', message, 'choose another port, or stop the process that holds it'))
}

/** A port that a scene has chosen stays; before the first start, the scene takes the next free one. */
async function scenePorts(file: string, folder: string): Promise<readonly Finding[]> {
  const scene = readSceneFile(file, {})
  const kept = readKept(join(folder, 'ports.json'))
  const ports = [...planePorts(scene.zones), ...scene.ports].map(
    ([name, first]) => [name, kept.get(name) ?? first, kept.has(name)] as const,
  )
  const findings = await Promise.all(
    ports.map(async ([name, port, isKept]): Promise<readonly Finding[]> => {
      const fault = await portFault({ what: name, host: local, port, option: '--port' })
      if (!fault) return []
      const found = `${name}: ${fault.message.replace(/; choose another with .*$/, '')}`
      return isKept
        ? [failed('ports', found, `stop that process, or remove ${join(folder, 'ports.json')} to choose ports again`)]
        : [warning('ports', found, '`zonemesh up` takes the next free port')]
    }),
  )
  const faults = findings.flat()
  return faults.length > 0 ? faults : [ok('ports', `free: all ${ports.length} of ${file}`)]
}
