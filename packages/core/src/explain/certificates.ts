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

/** One end of a connection between proxies, with what its zone has. */
interface End {
  readonly zone: CompiledZone
  readonly proxy: Row
}

/** That both ends of a connection have certificates of their meshes that the other one trusts. */
export function checkMeshCertificates(walk: Walk, sources: Sources, here: End, there: End): void {
  if (sources.offline) return
  const meshRow = here.zone.rows('Mesh').find((row) => row.key.name === here.proxy.key.mesh)
  if (!meshRow || !enabledBackend(meshRow.spec as MeshSpec)) return // admission stored what the schema returned
  const [mine, theirs] = [here, there].map((end) => authorityOfEnd(sources, end, meshRow))
  for (const [one, other, shown] of [
    [here, there, theirs],
    [there, here, mine],
  ] as const) {
    // What it trusts of the other's mesh is what its own zone was given of it.
    const mesh = other.proxy.key.mesh
    const known = authorityOf(one.zone, mesh)
    const roots = (known?.spec as AuthorityCertificateSpec | undefined)?.roots // the global writes it itself
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

const certificateOf = ({ spec }: Row): string => (spec as AuthorityCertificateSpec).certificate // as above

/** The authority that signs for a proxy, which has not ended; nor has the certificate of the proxy. */
function authorityOfEnd(sources: Sources, { zone, proxy }: End, meshRow: Row): Row {
  const { mesh } = proxy.key
  const authority = authorityOf(zone, mesh)
  if (!authority)
    stop(
      'certificate',
      `zone ${zone.name} has no authority for mesh ${mesh}, so its proxies get no certificates`,
      'the global gives it one as soon as the zone is connected: look at `zonemesh status`',
      [meshRow],
    )
  const { notAfterMs } = authority.spec as AuthorityCertificateSpec // as above
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

const authorityOf = (zone: CompiledZone, mesh: string): Row | undefined =>
  zone
    .rows('AuthorityCertificate')
    .find((row) => row.key.mesh === mesh && (row.spec as AuthorityCertificateSpec).zone === zone.name)
