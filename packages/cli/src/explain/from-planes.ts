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

/**
 * Reads the data of planes: a global, zones, or both, in any order. Planes that cannot be reached are reported with the
 * reason through `note`.
 */
export async function sourcesFromPlanes(clients: readonly Client[], note: (line: string) => void): Promise<Sources> {
  const reports: PlaneReport[] = []
  for (const client of clients) {
    try {
      const reply = await client.need('GET', '/_sight')
      requireFields(client, reply, ['name', 'role', 'revision', 'rows', 'proxies'])
      reports.push(reply.json as PlaneReport) // the plane answers with its own type
      const aheadMs = Date.parse(String(reply.headers['date'])) - Date.now()
      if (Math.abs(aheadMs) > clockDifferenceMaxMs)
        note(
          `the clock of ${client.address} is ${Math.round(Math.abs(aheadMs) / 1_000)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine; set both by a time service`,
        )
    } catch (thrown) {
      if (!(thrown instanceof CommandError)) throw thrown
      note(`${client.address} could not be asked: ${thrown.message}`)
    }
  }
  const sight = ({ name, revision, rows }: PlaneReport): PlaneSight => ({ name, revision, rows })
  const global = reports.find(({ role }) => role === 'global')
  const zones = reports.filter(({ role }) => role !== 'global')
  return {
    nowMs: Date.now(),
    global: global && sight(global),
    zones: new Map(zones.map((one) => [one.name, sight(one)])),
    proxies: new Map(
      zones.flatMap(({ proxies }) => Object.entries(proxies).map(([key, one]) => [key, proxySight(one)])),
    ),
    offline: false,
    trusts,
  }
}

/**
 * The data of all zones as their global has it: what each zone compiles once it is current. Without the proxies.
 * Undefined if the plane is no global, or does not show its rows to this caller.
 */
export async function sourcesFromGlobal(client: Client): Promise<Sources | undefined> {
  const reply = await client.call('GET', '/_sight')
  if (reply.status !== 200) return undefined
  const { name, role, revision, rows } = reply.json as PlaneReport // the plane answers with its own type
  if (role !== 'global') return undefined
  const zones = rows.flatMap(({ key }) => (key.kind === 'Zone' ? [key.name] : []))
  return {
    nowMs: Date.now(),
    global: { name, revision, rows },
    zones: new Map(zones.map((zone) => [zone, { name: zone, revision, rows }])),
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
