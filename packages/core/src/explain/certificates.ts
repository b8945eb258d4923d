import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { type AuthorityCertificateSpec, authorityCertificate, gatewayCertificate } from '../kinds/internal.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { mesh as meshKind } from '../kinds/mesh.ts'
import { enabledBackend } from '../kinds/mesh-spec.ts'
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
      .rows(gatewayCertificate)
      .find((one) => one.key.mesh === gateway.key.mesh && one.key.name === `${name}.${zone.name}`)
    if (!row)
      stop(
        'certificate',
        `${called(gateway)} names Secret ${name}, which zone ${zone.name} has not got`,
        `create it: zonemesh apply a Secret "${name}" of mesh ${gateway.key.mesh} whose data is the base64 of a PEM with certificate and key`,
        [gateway],
      )
    const spec = row.spec
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

/** One end of a connection between proxies, with what its zone has. */
interface End {
  readonly zone: CompiledZone
  readonly proxy: AnyRow
}

/** That both ends of a connection have certificates of their meshes that the other one trusts. */
export function checkMeshCertificates(walk: Walk, sources: Sources, here: End, there: End): void {
  if (sources.offline) return
  const meshRow = here.zone.rows(meshKind).find((row) => row.key.name === here.proxy.key.mesh)
  if (!meshRow || !enabledBackend(meshRow.spec)) return
  const [mine, theirs] = [here, there].map((end) => authorityOfEnd(sources, end, meshRow))
  for (const [one, other, shown] of [
    [here, there, theirs],
    [there, here, mine],
  ] as const) {
    // What it trusts of the other's mesh is what its own zone was given of it.
    const mesh = other.proxy.key.mesh
    const known = authorityOf(one.zone, mesh)
    const roots = known?.spec.roots
    if (!shown || (roots !== undefined && sources.trusts(roots, certificateOf(shown)))) continue
    stop(
      'certificate',
      `zone ${one.zone.name} does not trust the authority of zone ${other.zone.name} in mesh ${mesh}`,
      'both must have the same roots: one of them is behind, or was joined to another global',
      [known, shown].flatMap((row) => row ?? []),
    )
  }
  walk.pass(
    'certificate',
    `both ends have certificates of authorities that the other one trusts`,
    here.zone.name,
    [mine, theirs].flatMap((row) => row ?? []).filter((row) => row.key.name === here.zone.name),
  )
}

const certificateOf = ({ spec }: TypedRow<AuthorityCertificateSpec>): string => spec.certificate

/** The authority that signs for a proxy, which has not ended; nor has the certificate of the proxy. */
function authorityOfEnd(sources: Sources, { zone, proxy }: End, meshRow: AnyRow): TypedRow<AuthorityCertificateSpec> {
  const { mesh } = proxy.key
  const authority = authorityOf(zone, mesh)
  if (!authority)
    stop(
      'certificate',
      `zone ${zone.name} has no authority for mesh ${mesh}, so its proxies get no certificates`,
      'the global gives it one as soon as the zone is connected: look at `zonemesh status`',
      [meshRow],
    )
  const { notAfterMs } = authority.spec
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
  return authority
}

const authorityOf = (zone: CompiledZone, mesh: string): TypedRow<AuthorityCertificateSpec> | undefined =>
  zone.rows(authorityCertificate).find((row) => row.key.mesh === mesh && row.spec.zone === zone.name)
