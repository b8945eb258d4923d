import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { type AuthorityCertificateSpec, authorityCertificate, gatewayCertificate } from '../kinds/internal.ts'
import type { AnyRow, TypedRow } from '../kinds/kind.ts'
import { mesh as meshKind } from '../kinds/mesh.ts'
import { hostnameContains } from '../match/hostnames.ts'
import type { CompiledZone } from './compiled-zone.ts'
import type { Entrance } from './gateway.ts'
import type { Request } from './request.ts'
import type { Sources } from './sources.ts'
import { called, stop, type Walk } from './walk.ts'

const when = (ms: number): string => new Date(ms).toISOString()

/**
 * Checks the certificates that a gateway presents to TLS clients. Inline certificates need no check, because admission
 * has read them.
 */
export function checkListenerCertificate(
  walk: Walk,
  sources: Sources,
  zone: CompiledZone,
  { compiled, chain }: Entrance,
  request: Request,
): void {
  const shown = (compiled.model?.certificates ?? []).filter(({ name }) => chain.tls?.certificates.includes(name))
  for (const row of shown.flatMap(({ because }) => zone.rowsOf(because, gatewayCertificate))) {
    // The model contains no unusable certificate.
    if ('problem' in row.spec) continue
    const { secret, notAfterMs, names } = row.spec
    if (notAfterMs <= sources.nowMs)
      stop(
        'certificate',
        `the certificate in Secret ${secret} expired at ${when(notAfterMs)}`,
        `put a renewed certificate into Secret ${secret}`,
        [row],
      )
    else if (!names.some((one) => hostnameContains(one.toLowerCase(), request.host.toLowerCase())))
      stop(
        'certificate',
        `the certificate in Secret ${secret} is for ${names.join(', ') || 'no name'}, not for ${request.host}: clients refuse it`,
        'put a certificate with that name into the secret, or send the request to a name that it has',
        [row],
      )
    else
      walk.pass('certificate', `Secret ${secret} is for ${names.join(', ')}, until ${when(notAfterMs)}`, zone.name, [
        row,
      ])
  }
}

/** A proxy at one end of a connection, and its zone. */
interface End {
  readonly zone: CompiledZone
  readonly proxy: AnyRow
}

/** Checks that each end of a connection between proxies trusts the certificate of the other end. */
export function checkMeshCertificates(walk: Walk, sources: Sources, here: End, there: End): void {
  if (sources.offline) return
  // In a mesh without mutual TLS, proxies have no identity.
  const { identity } = here.zone.look(here.proxy).model ?? {}
  if (!identity) return
  const meshRows = here.zone.rowsOf(identity.because, meshKind)
  const [mine, theirs] = [here, there].map((end) => authorityOfEnd(sources, end, meshRows))
  for (const [one, other, shown] of [
    [here, there, theirs],
    [there, here, mine],
  ] as const) {
    // An end trusts the roots of the other end's mesh that its own zone has received.
    const mesh = other.proxy.key.mesh
    const known = authorityOf(one.zone, mesh)
    const roots = known?.spec.roots
    if (!shown || (roots !== undefined && sources.trusts(roots, certificateOf(shown)))) continue
    stop(
      'certificate',
      `zone ${one.zone.name} does not trust the authority of zone ${other.zone.name} in mesh ${mesh}`,
      'both zones must have the same roots: look at `zonemesh status`, because one of them is behind or has joined another global',
      [known, shown].flatMap((row) => row ?? []),
    )
  }
  walk.pass(
    'certificate',
    'client and server trust the authority of each other',
    here.zone.name,
    [mine, theirs].flatMap((row) => row ?? []).filter((row) => row.key.name === here.zone.name),
  )
}

const certificateOf = ({ spec }: TypedRow<AuthorityCertificateSpec>): string => spec.certificate

/**
 * The authority that signs for a proxy. Stops if it is missing or expired, or if the proxy's certificate has expired.
 */
function authorityOfEnd(
  sources: Sources,
  { zone, proxy }: End,
  meshRows: readonly AnyRow[],
): TypedRow<AuthorityCertificateSpec> {
  const { mesh } = proxy.key
  const authority = authorityOf(zone, mesh)
  if (!authority)
    stop(
      'certificate',
      `zone ${zone.name} has no authority for mesh ${mesh}, so its proxies get no certificates`,
      'the global gives it one as soon as the zone is connected: look at `zonemesh status`',
      meshRows,
    )
  const { notAfterMs } = authority.spec
  if (notAfterMs <= sources.nowMs)
    stop(
      'certificate',
      `the authority of zone ${zone.name} for mesh ${mesh} expired at ${when(notAfterMs)}`,
      'the global renews it while the zone is connected: look at `zonemesh status`',
      [authority],
    )
  const endsAtMs = sources.proxies.get(keyText(proxy.key))?.certificateEndsAtMs
  if (endsAtMs !== undefined && endsAtMs <= sources.nowMs)
    stop(
      'certificate',
      `the certificate of ${called(proxy)} in zone ${zone.name} expired at ${when(endsAtMs)}`,
      'its zone renews it: look at the log of the zone, and at the clocks of both',
      [proxy],
    )
  return authority
}

const authorityOf = (zone: CompiledZone, mesh: string): TypedRow<AuthorityCertificateSpec> | undefined =>
  zone.rows(authorityCertificate).find((row) => row.key.mesh === mesh && row.spec.zone === zone.name)
