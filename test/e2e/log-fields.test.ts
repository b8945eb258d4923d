import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { createProcesses } from '@zonemesh/cli/scene/processes.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect, test } from 'vitest'
import { api, local, statusOf, temporaryFolder, until, zonemesh } from './rig.ts'

const anyPorts = ['--host', local, '--api-tls-port', '0', '--health-port', '0', '--log-level', 'debug']

test('LG1 the logs of a global and a zone follow a write by its revision, and each line about the zone names it', async () => {
  using folder = temporaryFolder()
  const path = (name: string): string => join(folder.path, name)
  const processes = createProcesses(folder.path)
  try {
    const [apiPort = 0, sync = 0, zonePort = 0] = await freePorts(systemRandom, 3)
    const address = `http://${local}:${apiPort}`
    const globalPorts = ['--api-port', `${apiPort}`, '--sync-port', `${sync}`]
    processes.startOwn('global', ['global', '--data-dir', path('global'), ...anyPorts, ...globalPorts])
    await until(
      'the global answers',
      () => api(address).call('GET', '/'),
      ({ status }) => status === 200,
    )
    const { stdout } = await zonemesh('token', 'zone', 'east', '--address', address)
    const joinFile = folder.file('east.join', stdout)
    const zonePorts = ['--api-port', `${zonePort}`, '--proxy-port', '0', '--dns-port', '0']
    processes.startOwn('zone-east', [
      ...['zone', '--join-file', joinFile, '--data-dir', path('east'), ...anyPorts, ...zonePorts],
    ])
    const current = () =>
      until(
        'east is current',
        () => statusOf(address),
        ({ zones }) => zones.some(({ zone, current }) => zone === 'east' && current),
      )
    await current()
    const services = [{ match: { 'kuma.io/service': '*' } }]
    const timeout = { type: 'Timeout', mesh: 'default', name: 'patient', sources: services, destinations: services }
    const { headers } = await api(address).call('PUT', '/meshes/default/timeouts/patient', {
      ...timeout,
      conf: { connectTimeout: '7s' },
    })
    const [, digits = ''] = /@(\d+)\./.exec(String(headers['etag'])) ?? []
    const revision = Number(digits)

    const linesOf = (role: string): readonly Record<string, unknown>[] =>
      readFileSync(path(readdirSync(folder.path).find((name) => name === `${role}.log`) ?? `${role}.log`), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('{') && line.endsWith('}'))
        .map((line) => JSON.parse(line))
    const about = (role: string) =>
      linesOf(role)
        .filter((line) => line['revision'] === revision)
        .map(({ zone, msg }) => [zone, msg])
    const expected = {
      global: [
        [undefined, 'committed a revision'],
        ['east', 'the zone has stored this revision'],
        ['east', 'the zone has served this revision'],
      ],
      zone: [
        ['east', 'stored the rows of the global up to this revision'],
        ['east', 'all proxies serve this revision of the global'],
      ],
    }
    const found = await until(
      'both logs follow the revision',
      async () => ({ global: about('global'), zone: about('zone-east') }),
      (now) => now.global.length >= expected.global.length && now.zone.length >= expected.zone.length,
    )
    expect(found).toEqual(expected)
    expect(linesOf('zone-east').filter((line) => line['zone'] !== 'east')).toEqual([])
    const sessions = linesOf('global').filter(({ msg }) => /^(a zone|the session|the zone)\b/.test(String(msg)))
    expect(sessions.map(({ zone, part }) => [zone, part]).filter(([zone]) => zone !== 'east')).toEqual([])
  } finally {
    await processes.stop()
  }
})
