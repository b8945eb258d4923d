// What the compose files say. These tests need `docker compose`, and no engine.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { planes, proxies } from '@zonemesh/cli/fleet/members.ts'
import { partAddress, partCount } from '@zonemesh/dataplane/part.ts'
import { shortHash } from '@zonemesh/shared/base/base.ts'
import { expect, test } from 'vitest'
import { root } from '../../packaging/project.ts'
import { compose } from './rig.ts'

interface Service {
  readonly image?: string
  readonly user?: string
  readonly privileged?: boolean
  readonly read_only?: boolean
  readonly cap_add?: readonly string[]
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly mem_limit?: string
  readonly cpus?: number
  readonly pids_limit?: number
  readonly restart?: string
  readonly command?: readonly string[] | null
  readonly entrypoint?: readonly string[] | null
  readonly environment?: Readonly<Record<string, string>>
  readonly healthcheck?: {
    readonly disable?: boolean
    readonly test?: readonly string[]
    readonly start_interval?: string
  }
  readonly network_mode?: string
  readonly networks?: Readonly<Record<string, unknown>>
  readonly ports?: readonly { readonly host_ip?: string; readonly published?: string }[]
  readonly volumes?: readonly {
    readonly source: string
    readonly read_only?: boolean
    readonly volume?: { readonly subpath?: string }
  }[]
}

/** The services of the fleet as compose understands them, also those of profiles. */
const rendered = JSON.parse(await compose('--profile', '*', 'config', '--format', 'json'))
const services: Readonly<Record<string, Service>> = rendered.services

/** The services for which something does not hold. */
const except = (holds: (service: Service, name: string) => boolean): readonly string[] =>
  Object.entries(services).flatMap(([name, service]) => (holds(service, name) ? [] : [name]))

/** Steps end. All others run until they are stopped. */
const isStep = ({ restart }: Service): boolean => restart === 'no'

test.each<[string, (service: Service, name: string) => boolean]>([
  ['is not privileged', ({ privileged }) => privileged !== true],
  ['drops all capabilities and adds none', (one) => one.cap_drop?.join() === 'ALL' && (one.cap_add ?? []).length === 0],
  ['gains no privileges', ({ security_opt }) => security_opt?.includes('no-new-privileges:true') === true],
  ['has a read-only root file system', ({ read_only }) => read_only === true],
  ['has a user that is not root', ({ user = 'root' }) => !/^(root|0)(:|$)/.test(user)],
  [
    'has limits',
    ({ mem_limit, cpus, pids_limit }) => Number(mem_limit) > 0 && Number(cpus) > 0 && Number(pids_limit) > 0,
  ],
  ['has a version of its image', ({ image = '' }) => image === 'zonemesh:local' || /:v?\d+(\.\d+)*$/.test(image)],
  ['has a health check, or is a step', (one) => isStep(one) || (one.healthcheck?.test?.length ?? 0) > 1],
  ['is checked often while it starts', (one) => isStep(one) || one.healthcheck?.start_interval !== undefined],
  ['is restarted, or is a step', (one) => isStep(one) || one.restart === 'unless-stopped'],
  ['opens ports only to this machine', ({ ports = [] }) => ports.every(({ host_ip }) => host_ip === '127.0.0.1')],
  [
    'has no password in its words and variables',
    ({ command, entrypoint, environment }) =>
      !/:\/\/[^/ "]*:[^/ "]*@|password=|"[A-Z_]*PASSWORD":/i.test(JSON.stringify([command, entrypoint, environment])),
  ],
  [
    'sees only its own folder of the state, unless it sets the fleet up',
    ({ volumes = [] }, name) => {
      const folders = volumes.filter(({ source }) => source === 'state').map(({ volume }) => volume?.subpath)
      const own: Readonly<Record<string, string | undefined>> = { keys: undefined, setup: undefined, zonemesh: 'user' }
      return folders.every((folder) => folder === (name in own ? own[name] : name))
    },
  ],
  [
    'reaches the databases only if it is a plane that keeps its store there, and the databases reach nothing else',
    ({ networks = {} }, name) => {
      const stored = planes.filter(({ schema }) => schema !== undefined).flatMap(({ replicas }) => replicas)
      if (['postgres', 'redis'].includes(name)) return Object.keys(networks).join() === 'database'
      return 'database' in networks === stored.includes(name)
    },
  ],
])('K19 each container of the fleet %s', (_title, holds) => {
  expect(Object.keys(services).length).toBeGreaterThan(25)
  expect(except(holds)).toEqual([])
})

test('K19 the fleet has a service for each plane and proxy that its setup knows, and no ports twice', () => {
  const members = [...planes.flatMap(({ replicas }) => replicas), ...proxies.map(({ name }) => name)]
  const run = Object.keys(services).filter((name) => /^(global|zone)-|^(ingress|egress|gateway)-|-sidecar$/.test(name))
  expect(run.sort()).toEqual(members.sort())
  const ports = Object.values(services).flatMap(({ ports: own = [] }) => own.map(({ published }) => Number(published)))
  const tcpAndUdp = 5653
  expect(ports.filter((one, index) => ports.indexOf(one) !== index)).toEqual([tcpAndUdp])
  expect(rendered.networks.database.internal).toBe(true)
})

test('K20 no block of the compose files is written twice', () => {
  const placesByBlock = new Map<string, string[]>()
  for (const file of ['docker-compose.yml', 'compose.chaos.yml', 'compose.small.yml', 'compose.small.chaos.yml']) {
    const lines = readFileSync(join(root, file), 'utf8')
      .split('\n')
      .map((text, index) => ({ text: text.trim(), line: index + 1 }))
    const code = lines.filter(({ text }) => text !== '' && !text.startsWith('#'))
    for (const [index, { line }] of code.entries()) {
      const block = code.slice(index, index + 3)
      if (block.length < 3) continue
      const text = block.map((one) => one.text).join('\n')
      placesByBlock.set(text, [...(placesByBlock.get(text) ?? []), `${file}:${line}`])
    }
  }
  expect([...placesByBlock].filter(([, places]) => places.length > 1)).toEqual([])
})

test.each([
  ['nginx.conf', /^ *resolver (\S+):53 /m, 'shop-sidecar'],
  ['resolv.conf', /^nameserver (\S+)$/m, 'client-sidecar'],
])('K21 the resolver in fleet/%s is that of the sidecar beside it', (file, pattern, sidecar) => {
  const part = Number.parseInt(shortHash(`default.${sidecar}`).slice(0, 8), 16) % partCount
  expect(pattern.exec(readFileSync(join(root, 'fleet', file), 'utf8'))?.[1]).toBe(partAddress(part, 1))
})
