import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { AuthorityCertificateSpec, GatewayCertificateSpec } from '../kinds/internal.ts'
import { enabledBackend, type MeshSpec } from '../kinds/mesh.ts'
import { hostnameContains } from '../match/hostnames.ts'
import type { CompiledZone } from './compiled-zone.ts'
import type { Entrance } from './gateway.ts'
import type { Request } from './request.ts'
import type { Sources } from './sources.ts'
import { called, stop, type Walk } from './walk.ts'

const when = (ms: number): string => new Date(ms).toISOString()

/** What the gateway shows to those who come over TLS. */
export function checkListenerCertificate(
  walk: Walk,
  sources: Sources,
  zone: CompiledZone,
  { gateway, said }: Entrance,
  request: Request,
): void {
  if (said.tls?.mode !== 'TERMINATE') return
  const names = (said.tls.certificates ?? []).flatMap(({ secret }) => secret ?? [])
  for (const name of names) {
    const row = zone
      .rows('GatewayCertificate')
      .find((one) => one.key.mesh === gateway.key.mesh && one.key.name === `${name}.${zone.name}`)
    if (!row)
      stop(
        'certificate',
        `${called(gateway)} names Secret ${name}, which zone ${zone.name} has not got`,
        `create it: zonemesh apply a Secret "${name}" of mesh ${gateway.key.mesh} whose data is the base64 of a PEM with certificate and key`,
        [gateway],
      )
    const spec = row.spec as GatewayCertificateSpec // the global writes it itself
    if ('problem' in spec)
      stop(
        'certificate',
        `Secret ${name} cannot be used: ${spec.problem}`,
        'put a PEM certificate and its key into it',
        [row],
      )
    else if (spec.notAfterMs <= sources.nowMs)
      stop(
        'certificate',
        `the certificate in Secret ${name} ended at ${when(spec.notAfterMs)}`,
        'put a renewed one into the secret',
        [row],
      )
    else if (!spec.names.some((one) => hostnameContains(one.toLowerCase(), request.host.toLowerCase())))
      stop(
        'certificate',
        `the certificate in Secret ${name} is for ${spec.names.join(', ') || 'no name'}, not for ${request.host}: clients refuse it`,
        'put a certificate with that name into the secret, or ask for a name that it has',
        [row],
      )
    else
      walk.pass(
        'certificate',
        `Secret ${name} is for ${spec.names.join(', ')}, until ${when(spec.notAfterMs)}`,
        zone.name,
        [row],
      )
  }
}

/** That both ends of a mesh connection have certificates that the other one trusts. */
export function checkMeshCertificates(
  walk: Walk,
  sources: Sources,
  mesh: string,
  here: { readonly zone: CompiledZone; readonly proxy: Row },
  there: { readonly zone: CompiledZone; readonly proxy: Row },
): void {
  if (sources.offline) return
  const meshRow = here.zone.rows('Mesh').find((row) => row.key.name === mesh)
  if (!meshRow || !enabledBackend(meshRow.spec as MeshSpec)) return // admission stored what the schema returned
  const ends = [here, there].map(({ zone, proxy }) => ({ zone, proxy, authority: authorityOf(zone, mesh) }))
  for (const { zone, proxy, authority } of ends) {
    if (!authority)
      stop(
        'certificate',
        `zone ${zone.name} has no authority for mesh ${mesh}, so its proxies get no certificates`,
        'the global gives it one as soon as the zone is connected: look at `zonemesh status`',
        [meshRow],
      )
    const { notAfterMs } = authority.spec as AuthorityCertificateSpec // the global writes it itself
    if (notAfterMs <= sources.nowMs)
      stop(
        'certificate',
        `the authority of zone ${zone.name} for mesh ${mesh} ended at ${when(notAfterMs)}`,
        'the global renews it while the zone is connected: look at `zonemesh status`',
        [authority],
      )
    const endsAtMs = sources.proxies.get(keyText(proxy.key))?.certificateEndsAtMs
    if (endsAtMs !== undefined && endsAtMs <= sources.nowMs)
      stop(
        'certificate',
        `the certificate of ${called(proxy)} in zone ${zone.name} ended at ${when(endsAtMs)}`,
        'its zone renews it: look at the log of the zone, and at the clocks of both',
        [proxy],
      )
  }
  const [mine, theirs] = ends.map(({ authority }) => authority?.spec as AuthorityCertificateSpec)
  if (mine && theirs) {
    for (const [one, other, zone, otherZone] of [
      [mine, theirs, here.zone, there.zone],
      [theirs, mine, there.zone, here.zone],
    ] as const) {
      if (!sources.trusts(one.roots, other.certificate))
        stop(
          'certificate',
          `zone ${zone.name} does not trust the authority of zone ${otherZone.name} in mesh ${mesh}`,
          'both must have the same roots: one of them is behind, or was joined to another global',
          ends.flatMap(({ authority }) => authority ?? []),
        )
    }
  }
  walk.pass(
    'certificate',
    `both ends have certificates of authorities that the other one trusts`,
    here.zone.name,
    ends.flatMap(({ authority }) => authority ?? []).filter((row) => row.key.name === here.zone.name),
  )
}

const authorityOf = (zone: CompiledZone, mesh: string): Row | undefined =>
  zone
    .rows('AuthorityCertificate')
    .find((row) => row.key.mesh === mesh && (row.spec as AuthorityCertificateSpec).zone === zone.name)
