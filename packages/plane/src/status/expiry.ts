import { X509Certificate } from 'node:crypto'
import { displayNameLabel } from '@zonemesh/core/kinds/common.ts'
import { type GatewayCertificateSpec, gatewayCertificate } from '@zonemesh/core/kinds/internal.ts'
import type { TypedRow } from '@zonemesh/core/kinds/kind.ts'
import { meshGateway } from '@zonemesh/core/kinds/mesh-gateway.ts'
import { inlinePem } from '@zonemesh/core/kinds/mesh-gateway-spec.ts'
import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, repeat } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Row } from '@zonemesh/shared/resource/resource.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'
import { intermediateDays } from '../authority/owner.ts'
import type { ServerTls } from '../authority/server-tls.ts'
import { startOf } from '../authority/x509.ts'
import { readListenerCertificate } from '../certificates/pem.ts'
import type { TokenWatch } from '../tokens/watch.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** Something that expires: a token, an authority, a certificate. */
export interface Expiring {
  readonly what: string
  readonly who: string
  readonly endsAtMs: number
  /** How long before its expiry to warn. If it is renewed automatically, this is after the renewal must have failed. */
  readonly warnMs: number
  /** The start of a certificate: peers refuse it before this time. */
  readonly start?: Start
  /** What to do before it expires. */
  readonly remedy?: string
}

interface Start {
  readonly atMs: number
  /** What to do if the start is in the future: a clock was wrong when the certificate was made. */
  readonly remedy: string
}

/** Something that an operator renews: the warning comes one day ahead. */
export const byHand = (
  what: string,
  who: string,
  endsAtMs: number,
  more: Pick<Expiring, 'start' | 'remedy'> = {},
): Expiring => ({ what, who, endsAtMs, warnMs: dayMs, ...more })

/** The root of a mesh, which an operator replaces by a rotation. */
export const rootAuthority = (mesh: string, certificate: string): Expiring =>
  byHand(
    'root authority',
    `mesh ${mesh}`,
    endOf(certificate),
    withRemedy(
      startOf(certificate),
      `add another backend to mtls.backends of mesh ${mesh} and name it in enabledBackend`,
    ),
  )

/** One remedy for a certificate that expires, or whose start is in the future. */
const withRemedy = (startsAtMs: number, remedy: string): Pick<Expiring, 'start' | 'remedy'> => ({
  start: { atMs: startsAtMs, remedy },
  remedy,
})

/**
 * An intermediate authority, which is renewed at half of its life. If it is older, its renewal has failed since then:
 * most likely the zone has been disconnected.
 */
export const intermediate = (mesh: string, zone: string, endsAtMs: number, startsAtMs: number): Expiring => ({
  what: 'intermediate authority',
  who: `mesh ${mesh} in zone ${zone}`,
  endsAtMs,
  start: {
    atMs: startsAtMs,
    remedy: 'restart the control plane that signs for the mesh: it replaces the certificate',
  },
  remedy: `look at the connection of zone ${zone}: the authority is renewed while the zone is connected`,
  // The zone and the owner each check once an hour.
  warnMs: (intermediateDays / 2) * dayMs - 2 * hourMs,
})

/** A workload certificate, which is renewed at four fifths of its life. */
export const workload = (who: string, { issuedAtMs, notAfterMs }: { issuedAtMs: number; notAfterMs: number }) => ({
  what: 'workload certificate',
  who,
  endsAtMs: notAfterMs,
  warnMs: Math.min(dayMs, (notAfterMs - issuedAtMs) / 10),
})

/** The certificate of a listener. It often comes from another organisation, which needs some days to renew it. */
const ofListener = (mesh: string, where: string, endsAtMs: number): Expiring => ({
  what: 'listener certificate',
  who: `${where} in mesh ${mesh}`,
  endsAtMs,
  warnMs: 14 * dayMs,
})

/** The certificates in secrets. Several zones may show the same one; `createExpiry` merges equal entries. */
const ofSecrets = (rows: readonly TypedRow<GatewayCertificateSpec>[]): Expiring[] =>
  rows.flatMap(({ key, spec }) =>
    'sealed' in spec ? [ofListener(key.mesh, `secret ${spec.secret}`, spec.notAfterMs)] : [],
  )

/** The certificates that are inline in a MeshGateway. */
const ofGateways = (rows: readonly Row[]): Expiring[] =>
  parsedRows(meshGateway, rows).flatMap(({ key, labels, spec }) => {
    const listeners = spec.conf?.listeners ?? []
    return listeners.flatMap(({ tls, port }) =>
      (tls?.certificates ?? []).flatMap((certificate) => {
        const read = readListenerCertificate(inlinePem(certificate) ?? '')
        const where = `MeshGateway ${labels[displayNameLabel] ?? key.name}, port ${port},`
        return read.ok ? [ofListener(key.mesh, where, read.value.notAfterMs)] : []
      }),
    )
  })

/** The certificates of listeners in one zone, or in all: those in secrets, and those inline in MeshGateways. */
export async function ofListeners(store: Pick<Store, 'scan'>, zone?: string): Promise<Expiring[]> {
  const secrets = parsedRows(gatewayCertificate, await store.scan({ kind: 'GatewayCertificate' }))
  const shown = secrets.filter(({ spec }) => zone === undefined || spec.zone === zone)
  return [...ofSecrets(shown), ...ofGateways(await store.scan({ kind: 'MeshGateway' }))]
}

export const endOf = (certificate: string): number => new Date(new X509Certificate(certificate).validTo).getTime()

/** The certificates of a control plane's own ports, and the tokens in use there. */
export const ofPlane = (tls: ServerTls, watch: TokenWatch, self: string): Expiring[] => [
  byHand(
    'server certificate',
    self,
    endOf(tls.certificate),
    withRemedy(startOf(tls.certificate), 'restart the control plane: it replaces the certificate'),
  ),
  byHand('authority of the control plane', self, endOf(tls.authority), {
    start: {
      atMs: startOf(tls.authority),
      remedy:
        'correct the clock of this machine if it is behind; otherwise wait until then, or start with an empty data folder and join all zones and proxies again',
    },
  }),
  ...watch.live().map(({ purpose, who, endsAtMs }) => byHand(`${purpose} token`, who, endsAtMs)),
]

interface Deps {
  readonly clock: Clock
  readonly log: Log
  readonly sources: () => Promise<readonly Expiring[]>
}

/** What the metrics show of one sort. */
export interface ExpiryFigure {
  readonly what: string
  readonly endsInMs: number
  readonly due: number
}

const checkEveryMs = 60_000

/** Warns ahead of time about what expires: in the status, as metrics, and in the log at most once per hour. */
export function createExpiry({ clock, log, sources }: Deps) {
  let entries: readonly Expiring[] = []
  /** What the metrics show, as of the last check: there may be ten thousand entries. */
  let sorts: readonly { readonly what: string; readonly endsAtMs: number; readonly due: number }[] = []
  const loggedAtMs = new Map<string, number>()
  const checking = repeat(clock, checkEveryMs, checkAndLogErrors, 0)

  const isDue = ({ endsAtMs, warnMs }: Expiring): boolean => endsAtMs - clock.wallMs() < warnMs

  function checkAndLogErrors(): Promise<unknown> {
    return check().catch((thrown: unknown) =>
      log.warn({ reason: messageOf(thrown) }, 'cannot check which certificates and tokens are about to expire'),
    )
  }

  async function check(): Promise<readonly Expiring[]> {
    // One token may have opened several sessions.
    const byName = new Map(
      (await sources()).map((entry) => [`${entry.what} of ${entry.who} at ${entry.endsAtMs}`, entry]),
    )
    entries = [...byName.values()].sort((a, b) => a.endsAtMs - b.endsAtMs)
    // The entries are sorted, so the first of each sort expires next.
    sorts = [...Map.groupBy(entries, ({ what }) => what)].map(([what, sort]) => ({
      what,
      endsAtMs: sort[0]?.endsAtMs ?? 0,
      due: sort.filter(isDue).length,
    }))
    for (const { what, who, start } of early()) {
      const begins = new Date(start.atMs).toISOString()
      logOncePerHour(`start of ${what} of ${who}`, () =>
        log.warn({ what, who, begins, remedy: start.remedy }, `the ${what} of ${who} is not valid before ${begins}`),
      )
    }
    const due = entries.filter(isDue)
    const names = new Set([
      ...due.map(({ what, who }) => `${what} of ${who}`),
      ...early().map(({ what, who }) => `start of ${what} of ${who}`),
    ])
    for (const name of loggedAtMs.keys()) if (!names.has(name)) loggedAtMs.delete(name)
    for (const { what, who, endsAtMs } of due) {
      const name = `${what} of ${who}`
      const ends = new Date(endsAtMs).toISOString()
      logOncePerHour(name, () =>
        log.warn({ what, who, ends }, `the ${name} ${endsAtMs <= clock.wallMs() ? 'expired' : 'expires'} at ${ends}`),
      )
    }
    return due
  }

  function logOncePerHour(name: string, warn: () => void): void {
    const lastMs = loggedAtMs.get(name)
    if (lastMs !== undefined && clock.monotonicMs() - lastMs < hourMs) return
    loggedAtMs.set(name, clock.monotonicMs())
    warn()
  }

  /** Certificates that start in the future. */
  const early = () =>
    entries.flatMap(({ what, who, start }) => (start && start.atMs > clock.wallMs() ? [{ what, who, start }] : []))

  return {
    /** Everything that is about to expire, or has expired and is still in use, the soonest first. */
    async report() {
      return (await check()).map(({ what, who, endsAtMs, remedy }) => ({
        what,
        who,
        ends: new Date(endsAtMs).toISOString(),
        endsInMs: Math.round(endsAtMs - clock.wallMs()),
        ...(remedy === undefined ? {} : { remedy }),
      }))
    },
    /** Certificates that start in the future, with a remedy. Up to date after `report`. */
    notYetValid: () =>
      early().map(({ what, who, start }) => ({
        what,
        who,
        begins: new Date(start.atMs).toISOString(),
        beginsInMs: Math.round(start.atMs - clock.wallMs()),
        remedy: start.remedy,
      })),
    /** Metrics: for each sort, the time until its next expiry, and how many are due. */
    figures(): readonly ExpiryFigure[] {
      const nowMs = clock.wallMs()
      return sorts.map(({ what, endsAtMs, due }) => ({ what, endsInMs: endsAtMs - nowMs, due }))
    },
    close: (): void => checking[Symbol.dispose](),
  }
}
export type Expiry = ReturnType<typeof createExpiry>
