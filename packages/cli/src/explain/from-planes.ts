import type { ProxyFacts, TypeUrl } from '@zonemesh/core/emit/table.ts'
import type { PlaneSight, ProxySight, Sources } from '@zonemesh/core/explain/sources.ts'
import { trusts } from '@zonemesh/plane/authority/trust.ts'
import { clockDifferenceMaxMs } from '@zonemesh/plane/status/clocks.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Client } from '../base/client.ts'
import { CommandError } from '../base/command.ts'

/** Texts by type and name. */
type Texts = Readonly<Record<TypeUrl, Readonly<Record<string, string>>>>

/** What `GET /_sight` answers. */
interface Told {
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

/** Asks planes what they have: a global, zones, or both, in any order. `note` hears who could not be asked, and why. */
export async function sourcesFromPlanes(clients: readonly Client[], note: (line: string) => void): Promise<Sources> {
  const told: Told[] = []
  for (const client of clients) {
    try {
      const reply = await client.need('GET', '/_sight')
      told.push(reply.json as Told) // the plane answers with its own type
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
  const sight = ({ name, revision, rows }: Told): PlaneSight => ({ name, revision, rows })
  const global = told.find(({ role }) => role === 'global')
  const zones = told.filter(({ role }) => role !== 'global')
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

const proxySight = ({ accepted, refused, ...one }: Told['proxies'][string]): ProxySight => ({
  ...one,
  accepted: byType(accepted),
  // A zone of before did not tell it.
  refused: byType(refused ?? {}),
})

const byType = (texts: Partial<Texts>): ProxySight['accepted'] =>
  // Keys of such an object are texts.
  new Map(Object.entries(texts).map(([type, versions]) => [type as TypeUrl, new Map(Object.entries(versions))]))
