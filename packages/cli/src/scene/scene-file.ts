import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { admit } from '@zonemesh/core/admit/admit.ts'
import { isJsonObject, type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import { parse } from 'yaml'
import { z } from 'zod'
import { CommandError } from '../base/command.ts'
import { type Place, parseYamlFile } from '../base/yaml-file.ts'
import { fillVariables, readDocuments, type SourceDocument } from '../files/documents.ts'
import { fillPlaceholders, type Placeholders, portNamesIn } from './placeholders.ts'

/** The address of everything in a scene that runs on one machine. */
export const local = '127.0.0.1'

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: 'expected a text or a number' })
const scalars = z.record(z.string(), scalar, { error: 'expected "name: value"' })
const document = z.record(z.string(), z.unknown(), { error: 'expected a resource' })
const file = z.string({ error: 'expected a file' }).min(1, 'expected a file')
const unknownField = { error: (issue: z.core.$ZodRawIssue) => wordUnknown(issue) }

/** A proxy of a scene, and the service behind it. */
const proxySchema = z.strictObject(
  {
    resource: z.union([file, document], { error: 'expected a file, or a Dataplane, ZoneIngress or ZoneEgress' }),
    vars: scalars.default({}),
    /** A service that answers each request with its name, zone and version. It runs inside `zonemesh up`. */
    echo: z.strictObject({ version: z.string({ error: 'expected a text' }).default('') }, unknownField).optional(),
    /** The command of the service behind the proxy. It starts after the proxy. */
    run: z
      .array(z.string({ error: 'expected a text' }), { error: 'expected a list: [command, argument, …]' })
      .min(1, 'expected a command')
      .optional(),
    /** Files for that command, in its folder. */
    files: z.record(z.string(), z.string({ error: 'expected the content of the file' })).default({}),
  },
  unknownField,
)

const zoneSchema = z.strictObject(
  { proxies: z.array(proxySchema, { error: 'expected a list' }).default([]) },
  unknownField,
)

/** A scene file. */
export const sceneSchema = z.strictObject(
  {
    vars: scalars.default({}),
    policies: z
      .array(z.union([file, document], { error: 'expected a file, a folder or a resource' }), {
        error: 'expected a list',
      })
      .default([]),
    zones: z
      .record(
        z.string(),
        zoneSchema.nullable().transform((zone) => zone ?? { proxies: [] }),
        {
          error: 'expected "zone: { proxies: … }"',
        },
      )
      .refine((zones) => Object.keys(zones).length > 0, 'expected at least one zone'),
    try: z.array(z.string({ error: 'expected a command line' }), { error: 'expected a list' }).default([]),
  },
  unknownField,
)
type Content = z.infer<typeof sceneSchema>

const wordUnknown = (issue: z.core.$ZodRawIssue): string | undefined =>
  issue.code === 'unrecognized_keys'
    ? 'unknown field'
    : issue.input === undefined
      ? 'is missing'
      : 'expected "name: value"'

export type ProxyKind = 'Dataplane' | 'ZoneIngress' | 'ZoneEgress'

/** A proxy with its complete resource. */
export interface SceneProxy {
  readonly zone: string
  readonly kind: ProxyKind
  readonly name: string
  readonly resource: JsonObject
  readonly echo: { readonly service: string; readonly version: string; readonly port: number } | undefined
  readonly run: readonly string[] | undefined
  readonly files: Readonly<Record<string, string>>
}

/** A scene whose ports are known. */
export interface Scene {
  readonly policies: readonly SourceDocument[]
  readonly zones: readonly string[]
  readonly proxies: readonly SceneProxy[]
  readonly try: readonly string[]
}

/** A scene as the file describes it. Its ports are chosen before it is complete. */
export interface SceneFile {
  readonly path: string
  readonly zones: readonly string[]
  /** The ports that the file leaves open, by name, each with the number that is tried first. */
  readonly ports: ReadonlyMap<string, number>
  /**
   * The scene with these ports, and with the addresses of the machines of its zones. Throws a CommandError that names
   * the part of the file that is at fault.
   */
  complete(portOf: (name: string) => number, addressOf?: (zone: string) => string): Promise<Scene>
}

/** Reads a scene file. Throws a CommandError that names the file, the line, what was expected and what was found. */
export function readSceneFile(path: string, variables: Readonly<Record<string, string>>): SceneFile {
  const { content, at } = parseScene(path, variables)
  const zones = Object.keys(content.zones)
  for (const zone of zones) checkName(at(['zones', zone]), 'zone', zone)
  const entries = zones.flatMap((zone) =>
    (content.zones[zone]?.proxies ?? []).map((entry, index) => {
      const place = at(['zones', zone, 'proxies', index])
      const vars = { ...variables, ...texts(content.vars), ...texts(entry.vars) }
      return { zone, entry, place, ...readResource(dirname(path), entry, vars, place, zone) }
    }),
  )
  checkDistinct(entries, zones)
  const ports = new Map<string, number>()
  for (const name of portNamesIn([content, entries.map(({ draft }) => draft)]))
    ports.set(name, firstPort('named', ports))
  for (const { name, kind, draft } of entries)
    for (const port of openPorts(name, kind, draft)) ports.set(port.name, firstPort(port.use, ports))
  return {
    path,
    zones,
    ports,
    async complete(portOf, addressOf = () => local) {
      const proxies = entries.map((one) => completeProxy(one, portOf, addressOf(one.zone)))
      const places: Placeholders = { port: portOf }
      const filled = fillPlaceholders(content, places, path)
      return { zones, proxies, policies: await readPolicies(path, filled, variables, at), try: filled.try }
    },
  }
}

const parseScene = (path: string, variables: Readonly<Record<string, string>>) =>
  parseYamlFile(path, fillVariables(readScene(path), variables, path), sceneSchema)

function readScene(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (thrown) {
    throw new CommandError(
      `cannot read the scene file ${path}: ${messageOf(thrown)}; write one with \`zonemesh init\`, or name another with -f`,
    )
  }
}

type Entry = z.infer<typeof proxySchema>

interface Draft {
  readonly zone: string
  readonly entry: Entry
  readonly place: string
  readonly kind: ProxyKind
  readonly name: string
  /** The resource as the file has it: placeholders and omitted fields are open. */
  readonly draft: JsonObject
}

const proxyKinds: readonly ProxyKind[] = ['Dataplane', 'ZoneIngress', 'ZoneEgress']

function readResource(
  folder: string,
  { resource }: Entry,
  vars: Readonly<Record<string, string>>,
  place: string,
  zone: string,
): Pick<Draft, 'kind' | 'name' | 'draft'> {
  const draft = typeof resource === 'string' ? readResourceFile(join(folder, resource), vars) : resource
  const type = draft['type'] ?? 'Dataplane'
  const kind = proxyKinds.find((one) => one === type)
  if (!kind)
    throw new CommandError(`${place}: resource.type: expected ${proxyKinds.join(', ')}, found "${String(type)}"`)
  const usual = { Dataplane: undefined, ZoneIngress: `ingress-${zone}`, ZoneEgress: `egress-${zone}` }[kind]
  const name = draft['name'] ?? usual
  if (typeof name !== 'string' || name === '')
    throw new CommandError(`${place}: resource.name: expected a name of this Dataplane`)
  checkName(place, 'proxy', name)
  // Documents of YAML are JSON.
  return { kind, name, draft: draft as JsonObject }
}

function readResourceFile(path: string, vars: Readonly<Record<string, string>>): Record<string, unknown> {
  try {
    // The schema of the kind is checked later, by admission.
    return parse(fillVariables(readFileSync(path, 'utf8'), vars, path)) as Record<string, unknown>
  } catch (thrown) {
    throw thrown instanceof CommandError
      ? thrown
      : new CommandError(`cannot read ${path}: ${messageOf(thrown).split('\n')[0]}`)
  }
}

const texts = (vars: Readonly<Record<string, string | number | boolean>>): Record<string, string> =>
  Object.fromEntries(Object.entries(vars).map(([name, value]) => [name, String(value)]))

function checkName(place: string, what: string, name: string): void {
  if (/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) return
  throw new CommandError(
    `${place}: expected a name of lower case letters, digits and "-" for a ${what}, found "${name}"`,
  )
}

/** Names of zones and proxies are names of folders and log files, so they differ from each other. */
function checkDistinct(entries: readonly Draft[], zones: readonly string[]): void {
  const seen = new Set(['global', ...zones])
  for (const { name, place } of entries) {
    if (name.startsWith('zone-'))
      throw new CommandError(`${place}: expected a name that does not begin with "zone-", found "${name}"`)
    if (seen.has(name))
      throw new CommandError(`${place}: expected a name that nothing else in the scene has, found "${name}" twice`)
    seen.add(name)
  }
}

const networkingOf = ({ networking }: JsonObject): JsonObject => (isJsonObject(networking) ? networking : {})
const objectsIn = (value: unknown): readonly JsonObject[] => (Array.isArray(value) ? value : []).filter(isJsonObject)

const inboundPort = (name: string, index: number): string => (index === 0 ? name : `${name}.${index + 1}`)
const servicePort = (name: string, index: number): string => `${inboundPort(name, index)}.service`

/** The ports that a resource omits. */
function openPorts(name: string, kind: ProxyKind, draft: JsonObject): readonly { name: string; use: Use }[] {
  const networking = networkingOf(draft)
  if (kind !== 'Dataplane') return networking['port'] === undefined ? [{ name, use: 'zone-proxy' }] : []
  return objectsIn(networking['inbound']).flatMap((one, index) => [
    ...(one['port'] === undefined ? [{ name: inboundPort(name, index), use: 'inbound' } as const] : []),
    ...(one['servicePort'] === undefined ? [{ name: servicePort(name, index), use: 'service' } as const] : []),
  ])
}

type Use = 'zone-proxy' | 'inbound' | 'service' | 'named'
/** The ports that are tried first lie below those that systems use for outgoing connections. */
const firstByUse: Readonly<Record<Use, number>> = {
  'zone-proxy': 10_001,
  inbound: 20_001,
  service: 21_001,
  named: 22_001,
}

function firstPort(use: Use, taken: ReadonlyMap<string, number>): number {
  const used = new Set(taken.values())
  let port = firstByUse[use]
  while (used.has(port)) port += 1
  return port
}

function completeProxy(
  { zone, entry, place, kind, name, draft }: Draft,
  portOf: (name: string) => number,
  address: string,
): SceneProxy {
  const filled = fillPlaceholders(draft, { port: portOf }, place)
  const resource =
    kind === 'Dataplane'
      ? completeDataplane(name, filled, portOf, address)
      : completeZoneProxy(kind, name, filled, portOf, address)
  const admitted = admit(resource)
  if (!admitted.ok) {
    const [first] = admitted.error.violations
    throw new CommandError(
      `${place}: ${kind} ${name}: ${first ? `${first.field}: ${first.reason}` : admitted.error.detail}`,
    )
  }
  const [inbound] = objectsIn(networkingOf(resource)['inbound'])
  if (entry.echo && !inbound) throw new CommandError(`${place}: echo: ${kind} ${name} has no inbound for a service`)
  const service = inbound?.['tags']
  const echo = entry.echo && {
    service: String(service && typeof service === 'object' ? Reflect.get(service, 'kuma.io/service') : name),
    version: entry.echo.version,
    port: Number(inbound?.['servicePort']),
  }
  return { zone, kind, name, resource, echo, run: entry.run, files: entry.files }
}

function completeDataplane(name: string, draft: JsonObject, portOf: (name: string) => number, own: string): JsonObject {
  const networking = networkingOf(draft)
  const inbound = objectsIn(networking['inbound']).map((one, index) => ({
    ...one,
    port: one['port'] ?? portOf(inboundPort(name, index)),
    serviceAddress: one['serviceAddress'] ?? local,
    servicePort: one['servicePort'] ?? portOf(servicePort(name, index)),
  }))
  return {
    ...{ type: 'Dataplane', mesh: 'default', name },
    ...draft,
    networking: { address: own, ...networking, ...(inbound.length > 0 ? { inbound } : {}) },
  }
}

function completeZoneProxy(
  type: ProxyKind,
  name: string,
  draft: JsonObject,
  portOf: (name: string) => number,
  own: string,
): JsonObject {
  const networking = networkingOf(draft)
  const port = networking['port'] ?? portOf(name)
  const address = networking['address'] ?? own
  const advertised = type === 'ZoneIngress' ? { advertisedAddress: address, advertisedPort: port } : {}
  return { type, name, ...draft, networking: { ...advertised, ...networking, address, port } }
}

async function readPolicies(
  path: string,
  { policies, vars }: Content,
  variables: Readonly<Record<string, string>>,
  at: Place,
): Promise<SourceDocument[]> {
  const read = policies.map(async (one, index) => {
    const place = at(['policies', index])
    if (typeof one === 'string') return readDocuments([join(dirname(path), one)], { ...variables, ...texts(vars) })
    const line = Number(place.split(':').at(-1))
    return [{ file: path, number: index + 1, line, lineOf: () => line, content: one }]
  })
  return (await Promise.all(read)).flat()
}
