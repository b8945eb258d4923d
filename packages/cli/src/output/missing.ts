import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { part, resourceName, rows, stateOf, text } from './show-status.ts'

/**
 * What is not served as written, by the response of `GET /_status`: one text each, empty if nothing is missing. Zones
 * that are disabled or have never started are not awaited. Fields that this version does not serve are no reason to
 * wait.
 */
export function missingIn(status: JsonObject): readonly string[] {
  const ofPlane =
    status['role'] === 'global'
      ? rows(status['zones']).flatMap((zone) => missingInZone(zone, Number(status['mark'] ?? status['revision'])))
      : missingInOwn(status)
  return [
    ...(status['storeFault'] === undefined ? [] : [`the store takes no writes: ${text(status['storeFault'])}`]),
    ...ofPlane,
    ...rows(status['unparsed']).map(
      ({ kind, mesh, name, reason }) =>
        `${text(kind)} ${mesh ? `${text(mesh)}/` : ''}${text(name)} cannot be parsed: ${text(reason)}`,
    ),
  ]
}

function missingInZone(zone: JsonObject, head: number): readonly string[] {
  const name = text(zone['zone'])
  const state = stateOf(zone)
  if (state === 'disabled' || state === 'not started') return []
  if (state === 'offline' || state === 'refused') return [`zone ${name} is ${state}${reasonText(zone['reason'])}`]
  const { served } = part(zone['revision'])
  const { connected, total } = part(zone['proxies'])
  return [
    ...(state === 'current' ? [] : [`zone ${name} is ${state}`]),
    ...(state === 'current' && Number(served ?? 0) < head
      ? [`zone ${name} serves revision ${text(served)} of ${head}`]
      : []),
    ...(Number(connected ?? 0) < Number(total ?? 0)
      ? [`zone ${name}: ${text(connected)} of ${text(total)} proxies are connected`]
      : []),
    ...[...rows(zone['verdicts']), ...rows(zone['refused']), ...rows(zone['quarantined'])].map(
      (one) => `zone ${name}: ${verdictText(one)}`,
    ),
  ]
}

/** A zone's own view: its line to the global, its proxies, and what they refused. */
function missingInOwn(status: JsonObject): readonly string[] {
  const uplink = part(status['uplink'])
  const isJoined = status['role'] === 'zone'
  const proxies = rows(status['proxies']).filter(({ state }) => state !== 'connected')
  return [
    ...(isJoined && uplink['phase'] !== 'connected'
      ? [`the uplink is ${text(uplink['phase'])}${reasonText(uplink['reason'])}`]
      : []),
    ...(isJoined && uplink['phase'] === 'connected' && uplink['current'] !== true
      ? ['the zone is behind the global']
      : []),
    ...(uplink['hold'] === undefined ? [] : [`a change is held: ${text(part(uplink['hold'])['reason'])}`]),
    ...proxies.map(({ proxy, state }) => `${resourceName(proxy)} is ${text(state)}`),
    ...[...rows(status['verdicts']), ...rows(status['quarantined'])].map(verdictText),
  ]
}

const reasonText = (reason: unknown): string => (reason === undefined || reason === '' ? '' : `: ${text(reason)}`)

const verdictText = ({ key, outcome, reason }: JsonObject): string =>
  `${resourceName(key)} is ${text(outcome ?? 'quarantined')}: ${text(reason)}`
