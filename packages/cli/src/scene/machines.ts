import { nearest } from '@zonemesh/core/kinds/kind.ts'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import { isJsonObject, type JsonObject } from '@zonemesh/shared/base/base.ts'
import { stringify } from 'yaml'
import { type Client, requireFields } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { type JoinFacts, joinString } from '../base/join-string.ts'
import type { SourceDocument } from '../files/documents.ts'
import { fillPlaceholders } from './placeholders.ts'
import { token } from './planes.ts'
import { planePorts } from './ports.ts'
import { local, type Scene, type SceneFile, type SceneProxy } from './scene-file.ts'

/** A machine of a scene that runs on several: what to put there, and what to run there, in order. */
export interface Machine {
  readonly host: string
  /** `global`, `zone east`, and the proxies. */
  readonly roles: readonly string[]
  readonly files: readonly MachineFile[]
  readonly commands: readonly string[]
}

export interface MachineFile {
  readonly name: string
  readonly content: string
}

export interface MachinePlan {
  readonly machines: readonly Machine[]
  /** Commands to try when everything runs. */
  readonly try: readonly string[]
}

/** The machine of the global and of each zone. */
export type Hosts = ReadonlyMap<string, string>

const hostForm = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$/

/** Reads `--on ROLE=HOST`: each zone of the scene and `global` need a host. Throws a CommandError. */
export function readHosts(pairs: readonly string[], { path, zones }: Pick<SceneFile, 'path' | 'zones'>): Hosts {
  const roles = ['global', ...zones]
  const hosts = new Map<string, string>()
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    const [role, host] = [pair.slice(0, at), pair.slice(at + 1)]
    if (at < 1 || !hostForm.test(host))
      throw new CommandError(`--on: expected global=HOST or ZONE=HOST, found "${pair}"`, 2)
    if (!roles.includes(role)) {
      const candidate = nearest(role, roles)
      const hint = candidate ? `; did you mean "${candidate}"?` : ''
      throw new CommandError(`--on: ${path} has no "${role}"${hint} (it has: ${roles.join(', ')})`, 2)
    }
    if (hosts.has(role)) throw new CommandError(`--on: expected one machine for ${role}, found two`, 2)
    hosts.set(role, host)
  }
  const missing = roles.filter((role) => !hosts.has(role))
  if (missing.length > 0)
    throw new CommandError(
      `no machine for: ${missing.join(', ')}; give ${missing.map((one) => `--on ${one}=HOST`).join(' ')}`,
      2,
    )
  return hosts
}

/** The commands that start the global; they come before everything else. */
export const globalCommands: readonly string[] = [
  inBackground('global', ['zonemesh', 'global', '--data-dir', './global']),
  'zonemesh status --wait --address http://localhost:5681 > /dev/null',
]

/**
 * The machines of a scene, that of the global first. Creates the zones on the running global, and a join string or a
 * token for each zone and each proxy. Throws a CommandError if other machines do not reach the global.
 */
export async function planMachines(
  file: SceneFile,
  hosts: Hosts,
  global: Client,
  note: (line: string) => void,
): Promise<MachinePlan> {
  const hostOf = (role: string): string => hosts.get(role) ?? ''
  const facts = await joinFacts(global, hostOf('global'))
  const scene = await file.complete(portOf(file), hostOf)
  // What cannot be printed is refused before anything is created.
  const services = new Map(scene.proxies.map((proxy) => [proxy.name, servicePart(file, proxy)]))
  const machines = [...new Set(['global', ...file.zones].map(hostOf))]
  const parts = new Map(machines.map((host): [string, Part[]] => [host, []]))
  parts.get(hostOf('global'))?.push(policiesPart(scene.policies))
  for (const zone of file.zones) {
    const here = file.zones.filter((one) => hostOf(one) === hostOf(zone))
    const before = {
      zones: here.indexOf(zone),
      planes: here.indexOf(zone) + (hostOf(zone) === hostOf('global') ? 1 : 0),
    }
    const address = `${inUrl(hostOf('global'))}:${facts.syncPort}`
    const join = await joinOf(global, zone, address, note)
    parts.get(hostOf(zone))?.push(zonePart(zone, join, before))
    for (const proxy of scene.proxies.filter((one) => one.zone === zone))
      parts.get(hostOf(zone))?.push(await proxyPart(global, proxy, 5678 + 10 * before.zones, services.get(proxy.name)))
  }
  return {
    machines: machines.map((host) => machineOf(host, host === hostOf('global'), parts.get(host) ?? [])),
    try: tryLines(scene, hosts),
  }
}

/** What one role adds to its machine. */
interface Part {
  readonly role?: string
  readonly files: readonly MachineFile[]
  readonly commands: readonly string[]
}

const machineOf = (host: string, isGlobal: boolean, parts: readonly Part[]): Machine => ({
  host,
  roles: [...(isGlobal ? ['global'] : []), ...parts.flatMap(({ role }) => role ?? [])],
  files: parts.flatMap(({ files }) => files),
  commands: parts.flatMap(({ commands }) => commands),
})

/** The ports of other machines are not known: the numbers that a scene tries first are used. */
function portOf({ zones, ports }: SceneFile) {
  const known = new Map([...planePorts(zones), ...ports])
  return (name: string): number => {
    const port = known.get(name)
    if (port === undefined)
      throw new CommandError(`the scene has no port "${name}"; it has: ${[...known.keys()].join(', ')}`)
    return port
  }
}

async function joinFacts(global: Client, host: string): Promise<{ readonly syncPort: number }> {
  const reply = await global.need('GET', '/_join')
  requireFields(global, reply, ['pin'])
  // The plane answers with its own type.
  const { host: boundTo, syncPort } = reply.json as JoinFacts
  if (syncPort === undefined)
    throw new CommandError(`${global.address} is not a global control plane; give the --address of one`)
  if (boundTo !== undefined && isLoopback(boundTo) && !isLoopback(host))
    throw new CommandError(
      `the global at ${global.address} listens on ${boundTo}, so zones on other machines cannot join it; start it with: ${globalCommands[0]}`,
    )
  return { syncPort }
}

async function joinOf(global: Client, zone: string, address: string, note: (line: string) => void): Promise<string> {
  const existing = await global.call('GET', `/zones/${zone}`)
  if (existing.status === 404) await global.need('PUT', `/zones/${zone}`, { type: 'Zone', name: zone, enabled: true })
  return joinString(global, 'sync', [address], await token(global, 'zone', { zone, scope: ['cp'] }), (line) =>
    note(`zone ${zone}: ${line}`),
  )
}

function policiesPart(documents: readonly SourceDocument[]): Part {
  const bad = documents.find(({ error }) => error !== undefined)
  if (bad) throw new CommandError(`${bad.file}:${bad.line}: ${bad.error}`)
  if (documents.length === 0) return { files: [], commands: [] }
  const content = documents.map((one) => stringify(one.content, { lineWidth: 0 })).join('---\n')
  return {
    files: [{ name: 'policies.yaml', content }],
    commands: ['zonemesh apply -f policies.yaml --address http://localhost:5681'],
  }
}

/** The first plane of a machine has the usual ports; each further one has numbers that are larger by ten. */
function zonePart(zone: string, join: string, { zones, planes }: { zones: number; planes: number }): Part {
  const given = {
    ...(planes > 0 ? { '--api-port': 5681, '--api-tls-port': 5682, '--health-port': 5680 } : {}),
  }
  const own = { ...(zones > 0 ? { '--proxy-port': 5678, '--dns-port': 5653 } : {}) }
  const words = [
    ...Object.entries(given).flatMap(([flag, port]) => [flag, String(port + 10 * planes)]),
    ...Object.entries(own).flatMap(([flag, port]) => [flag, String(port + 10 * zones)]),
  ]
  return {
    role: `zone ${zone}`,
    files: [{ name: `${zone}.join`, content: `${join}\n` }],
    commands: [
      inBackground(`zone-${zone}`, ['zonemesh', 'zone', '--join', `${zone}.join`, '--data-dir', `./${zone}`, ...words]),
      `zonemesh status --wait --address http://localhost:${5681 + 10 * planes} > /dev/null`,
    ],
  }
}

/** A proxy runs on the machine of its zone, so it finds the authority of the zone in the data folder there. */
async function proxyPart(
  global: Client,
  proxy: SceneProxy,
  proxyPort: number,
  service: Part | undefined,
): Promise<Part> {
  const { name, zone, kind, resource } = proxy
  const scope = { Dataplane: undefined, ZoneIngress: 'ingress', ZoneEgress: 'egress' }[kind]
  const secret =
    scope === undefined
      ? await token(global, 'dataplane', { mesh: resource['mesh'], name, type: 'dataplane' })
      : await token(global, 'zone', { zone, scope: [scope] })
  const words = [
    ...['zonemesh', 'dataplane', '--dataplane-file', `${name}.yaml`, '--cp-address', `https://localhost:${proxyPort}`],
    ...['--token-file', `${name}.token`, '--ca-cert-file', `./${zone}/ca.crt`, '--work-dir', `./${name}`],
  ]
  return {
    role: name,
    files: [
      { name: `${name}.yaml`, content: stringify(resource) },
      { name: `${name}.token`, content: `${secret}\n` },
      ...(service?.files ?? []),
    ],
    commands: [...(service?.commands ?? []), inBackground(name, words)],
  }
}

/** The service behind a proxy. */
function servicePart(file: SceneFile, { name, zone, echo, run, files }: SceneProxy): Part {
  if (echo) {
    const { service, version, port } = echo
    const words = [
      '--service',
      service,
      '--zone',
      zone,
      ...(version ? ['--version', version] : []),
      '--port',
      String(port),
    ]
    return { files: [], commands: [inBackground(`${name}-service`, ['zonemesh', 'echo', ...words])] }
  }
  if (!run) return { files: [], commands: [] }
  const folder = `./${name}-service`
  const fill = <T>(value: T): T => fillPlaceholders(value, { port: portOf(file), folder }, name)
  if (JSON.stringify([run, files]).includes('{resolver}'))
    throw new CommandError(
      `${file.path}: the service of ${name} needs \${resolver}, which is known only on its machine; write its address into the scene, or start this service by hand`,
    )
  return {
    files: Object.entries(fill(files)).map(([one, content]) => ({ name: `${name}-service/${one}`, content })),
    commands: [inBackground(`${name}-service`, fill(run).map(String))],
  }
}

function quoted(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

/** A command that goes on after its terminal is closed, and writes a log. */
function inBackground(name: string, words: readonly string[]): string {
  return `nohup ${words.map(quoted).join(' ')} > ${name}.log 2>&1 < /dev/null &`
}

export const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host)

const isGateway = ({ networking }: JsonObject): boolean =>
  isJsonObject(networking) && networking['gateway'] !== undefined

/** The commands to try, with the machine of the first gateway in place of this machine. */
function tryLines(scene: Scene, hosts: Hosts): readonly string[] {
  const gateway = scene.proxies.find(({ resource }) => isGateway(resource))
  const host = gateway && hosts.get(gateway.zone)
  return host === undefined ? [] : scene.try.map((line) => line.replaceAll(local, inUrl(host)))
}
