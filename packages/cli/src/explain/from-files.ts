import { admit, type Refusal } from '@zonemesh/core/admit/admit.ts'
import { createAnnouncements } from '@zonemesh/core/edge/announcements.ts'
import type { Sources } from '@zonemesh/core/explain/sources.ts'
import { zoneLabel, zoneTag } from '@zonemesh/core/kinds/common.ts'
import type { DataplaneSpec } from '@zonemesh/core/kinds/dataplane-spec.ts'
import { isZoneProxy, proxyKinds } from '@zonemesh/core/kinds/proxies.ts'
import type { ZoneEgressSpec } from '@zonemesh/core/kinds/zone-egress.ts'
import type { ZoneIngressSpec } from '@zonemesh/core/kinds/zone-ingress.ts'
import { trusts } from '@zonemesh/plane/authority/trust.ts'
import { globalOrigin, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'
import { CommandError } from '../base/command.ts'
import { readDocuments } from '../files/documents.ts'

const stampOf = (number: number) => ({
  incarnation: 0,
  originRevision: number,
  createdAtMs: number,
  modifiedAtMs: number,
})

/**
 * The data that planes would have if these files were applied: policies on the global, proxies in the zone that they
 * name by the label `kuma.io/zone`, their `zone` field or a tag, otherwise in the zone of the request. Rows that zones
 * derive are derived too.
 */
export async function sourcesFromFiles(
  paths: readonly string[],
  variables: Readonly<Record<string, string>>,
  home: string,
): Promise<Sources> {
  const rows: Row[] = []
  for (const { file, line, content, error } of await readDocuments(paths, variables)) {
    const at = `${file}:${line}`
    if (error !== undefined) throw new CommandError(`${at}: ${error}`)
    const read = admit(content)
    if (!read.ok) throw new CommandError(`${at}: ${reasonOf(read.error)}`)
    const { kind, mesh, name, labels, spec } = read.value
    const zone = proxyKinds.has(kind.name) ? zoneOf(kind.name, spec, labels, home) : globalOrigin
    rows.push({ key: { origin: zone, kind: kind.name, mesh, name }, stamp: stampOf(rows.length + 1), labels, spec })
  }
  const zones = [...new Set([home, ...rows.map(({ key }) => key.origin)])].filter((name) => name !== globalOrigin)
  rows.push(...zones.flatMap((zone) => announced(zone, rows)))
  rows.push(...missingZones(zones, rows))
  const sight = (name: string) => ({ name, revision: rows.length, rows })
  return {
    nowMs: Date.now(),
    global: sight(globalOrigin),
    zones: new Map(zones.map((zone) => [zone, sight(zone)])),
    proxies: new Map(),
    offline: true,
    trusts,
  }
}

/**
 * Adds the Zones of proxies that no file describes: `zonemesh token zone` creates Zones, so files need not contain
 * them.
 */
function missingZones(zones: readonly string[], rows: readonly Row[]): Row[] {
  const described = new Set(rows.flatMap(({ key }) => (key.kind === 'Zone' ? [key.name] : [])))
  return zones
    .filter((zone) => !described.has(zone))
    .map((name) => ({
      key: { origin: globalOrigin, kind: 'Zone', mesh: '', name },
      stamp: stampOf(0),
      labels: {},
      spec: { enabled: true },
    }))
}

function zoneOf(kind: string, spec: unknown, labels: Readonly<Record<string, string>>, home: string): string {
  const labelled = labels[zoneLabel]
  if (labelled !== undefined) return labelled
  // Admission returned a value of the schema.
  if (isZoneProxy(kind)) return (spec as ZoneIngressSpec | ZoneEgressSpec).zone || home
  const { networking } = spec as DataplaneSpec
  const tags = [networking?.gateway?.tags, ...(networking?.inbound ?? []).map((one) => one.tags)]
  return tags.map((one) => one?.[zoneTag]).find((zone) => zone !== undefined) ?? home
}

function announced(zone: string, rows: readonly Row[]): Row[] {
  const changes = rows
    .filter(({ key }) => key.kind === 'Dataplane' && key.origin === zone)
    .map(({ key, labels, spec }): Change => ({ op: 'put', key, labels, spec }))
  return createAnnouncements({ zone })
    .preview(changes)
    .flatMap((change) =>
      change.op === 'put' ? [{ key: change.key, stamp: stampOf(0), labels: {}, spec: change.spec }] : [],
    )
}

const reasonOf = ({ detail, violations }: Refusal): string =>
  violations.length === 0 ? detail : violations.map(({ field, reason }) => `${field}: ${reason}`).join('; ')
