import type { ProxyFacts, TypeUrl } from '@zonemesh/core/emit/table.ts'
import type { PlaneSight, ProxySight, Sources } from '@zonemesh/core/explain/sources.ts'
import { trusts } from '@zonemesh/plane/authority/trust.ts'
import { clockDifferenceMaxMs } from '@zonemesh/plane/status/clocks.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { type Client, requireFields } from '../base/client.ts'
import { CommandError } from '../base/command.ts'

/** Texts by type and name. */
type Texts = Readonly<Record<TypeUrl, Readonly<Record<string, string>>>>

/** The response of `GET /_sight`. */
interface PlaneReport {
  readonly name: string
  readonly role: 'global' | 'zone' | 'standalone'
  readonly revision: number
  readonly rows: readonly Row[]
  readonly proxies: Readonly<
    Record<
      string,
      {
        readonly facts: ProxyFacts
        readonly connected: boolean
        readonly accepted: Texts
        readonly refused?: Texts
        readonly certificateEndsAtMs?: number
      }
    >
  >
}

type Note = (line: string) => void

/**
 * Reads the data of planes: a global, zones, or both, in any order. A global is also asked for the data of its zones,
 * except of those that are given. Planes that cannot be reached are reported with the reason through `note`.
 */
export async function sourcesFromPlanes(clients: readonly Client[], note: Note): Promise<Sources> {
  const given = await Promise.all(
    clients.map(async (client) => ({ client, report: await readPlane(client, client.address, '/_sight', note) })),
  )
  const reports = given.flatMap(({ report }) => report ?? [])
  const global = reports.find(({ role }) => role === 'global')
  const through = given.find(({ report }) => report && report === global)?.client
  const missing = global ? zonesOf(global).filter((zone) => !reports.some(({ name }) => name === zone)) : []
  const asked = await Promise.all(
    missing.map((zone) =>
      through ? readPlane(through, `zone "${zone}"`, `/zones/${encodeURIComponent(zone)}/_sight`, note) : undefined,
    ),
  )
  const zones = [...reports.filter(({ role }) => role !== 'global'), ...asked.flatMap((report) => report ?? [])]
  return {
    nowMs: Date.now(),
    global: global && sightOf(global),
    zones: new Map(zones.map((one) => [one.name, sightOf(one)])),
    proxies: new Map(
      zones.flatMap(({ proxies }) => Object.entries(proxies).map(([key, one]) => [key, proxySight(one)])),
    ),
    offline: false,
    trusts,
  }
}

const sightOf = ({ name, revision, rows }: PlaneReport): PlaneSight => ({ name, revision, rows })

const zonesOf = ({ rows }: PlaneReport): readonly string[] =>
  rows.flatMap(({ key }) => (key.kind === 'Zone' ? [key.name] : []))

/** The data of one plane; undefined if it cannot be read. `what` names the plane in the report of a failure. */
async function readPlane(client: Client, what: string, path: string, note: Note): Promise<PlaneReport | undefined> {
  try {
    const reply = await client.need('GET', path)
    requireFields(client, reply, ['name', 'role', 'revision', 'rows', 'proxies'])
    const aheadMs = Date.parse(String(reply.headers['date'])) - Date.now()
    if (Math.abs(aheadMs) > clockDifferenceMaxMs)
      note(
        `the clock of ${client.address} is ${Math.round(Math.abs(aheadMs) / 1_000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine; set both by a time service`,
      )
    return reply.json as PlaneReport // the plane answers with its own type
  } catch (thrown) {
    if (!(thrown instanceof CommandError)) throw thrown
    note(`${what} could not be asked: ${thrown.message}`)
    return undefined
  }
}

/**
 * The data of all zones as their global has it: what each zone compiles once it is current. Without the proxies.
 * Undefined if the plane is no global, or does not show its rows to this caller.
 */
export async function sourcesFromGlobal(client: Client): Promise<Sources | undefined> {
  const reply = await client.call('GET', '/_sight')
  if (reply.status !== 200) return undefined
  const report = reply.json as PlaneReport // the plane answers with its own type
  const { name, role, revision, rows } = report
  if (role !== 'global') return undefined
  return {
    nowMs: Date.now(),
    global: { name, revision, rows },
    zones: new Map(zonesOf(report).map((zone) => [zone, { name: zone, revision, rows }])),
    proxies: new Map(),
    offline: true,
    trusts,
  }
}

const proxySight = ({ accepted, refused, ...one }: PlaneReport['proxies'][string]): ProxySight => ({
  ...one,
  accepted: byType(accepted),
  // An older zone does not report refusals.
  refused: byType(refused ?? {}),
})

const byType = (texts: Partial<Texts>): ProxySight['accepted'] =>
  // The keys of this object are type URLs.
  new Map(Object.entries(texts).map(([type, versions]) => [type as TypeUrl, new Map(Object.entries(versions))]))
