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

/** Something that ends: a token, an authority, a certificate. */
export interface Expiring {
  readonly what: string
  readonly who: string
  readonly endsAtMs: number
  /** How long before its end somebody is told. What is renewed by itself is told of only when the renewal has failed. */
  readonly warnMs: number
  /** Of a certificate: peers refuse it before this time. */
  readonly start?: Start
}

interface Start {
  readonly atMs: number
  /** What to do if the start is in the future: a clock was wrong when the certificate was made. */
  readonly remedy: string
}

/** What nobody renews by itself is told of a day ahead. */
export const byHand = (what: string, who: string, endsAtMs: number, start?: Start): Expiring => ({
  what,
  who,
  endsAtMs,
  warnMs: dayMs,
  ...(start ? { start } : {}),
})

/** The root of a mesh: people replace it by a rotation. */
export const rootAuthority = (mesh: string, certificate: string): Expiring =>
  byHand('root authority', `mesh ${mesh}`, endOf(certificate), {
    atMs: startOf(certificate),
    remedy: `add another backend to mtls.backends of mesh ${mesh} and name it in enabledBackend`,
  })

/** An intermediate authority is renewed at half of its life: a zone whose has come that far has been alone for as long. */
export const intermediate = (mesh: string, zone: string, endsAtMs: number, startsAtMs: number): Expiring => ({
  what: 'intermediate authority',
  who: `mesh ${mesh} in zone ${zone}`,
  endsAtMs,
  start: {
    atMs: startsAtMs,
    remedy: 'restart the control plane that signs for the mesh: it replaces the certificate',
  },
  // Both ends look once an hour.
  warnMs: (intermediateDays / 2) * dayMs - 2 * hourMs,
})

/** A workload certificate is renewed at four fifths of its life. */
export const workload = (who: string, { issuedAtMs, notAfterMs }: { issuedAtMs: number; notAfterMs: number }) => ({
  what: 'workload certificate',
  who,
  endsAtMs: notAfterMs,
  warnMs: Math.min(dayMs, (notAfterMs - issuedAtMs) / 10),
})

/** What a listener shows comes from other places, where it takes people some days to renew it. */
const ofListener = (mesh: string, where: string, endsAtMs: number): Expiring => ({
  what: 'listener certificate',
  who: `${where} in mesh ${mesh}`,
  endsAtMs,
  warnMs: 14 * dayMs,
})

/** Those of rows that hold what the owner of secrets wrote: one for each secret, however many zones show it. */
const ofSecrets = (rows: readonly TypedRow<GatewayCertificateSpec>[]): Expiring[] =>
  rows.flatMap(({ key, spec }) =>
    'sealed' in spec ? [ofListener(key.mesh, `secret ${spec.secret}`, spec.notAfterMs)] : [],
  )

/** Those that stand in a MeshGateway itself. */
const ofGateways = (rows: readonly Row[]): Expiring[] =>
  parsedRows(meshGateway, rows).flatMap(({ key, labels, spec }) => {
    const listeners = spec.conf?.listeners ?? []
    return listeners.flatMap(({ tls, port }) =>
      (tls?.certificates ?? []).flatMap((one) => {
        const read = readListenerCertificate(inlinePem(one) ?? '')
        const where = `MeshGateway ${labels[displayNameLabel] ?? key.name}, port ${port},`
        return read.ok ? [ofListener(key.mesh, where, read.value.notAfterMs)] : []
      }),
    )
  })

/** What listeners of gateways show in a zone, or in all: from secrets, and from the MeshGateways themselves. */
export async function ofListeners(store: Pick<Store, 'scan'>, zone?: string): Promise<Expiring[]> {
  const secrets = parsedRows(gatewayCertificate, await store.scan({ kind: 'GatewayCertificate' }))
  const shown = secrets.filter(({ spec }) => zone === undefined || spec.zone === zone)
  return [...ofSecrets(shown), ...ofGateways(await store.scan({ kind: 'MeshGateway' }))]
}

export const endOf = (certificate: string): number => new Date(new X509Certificate(certificate).validTo).getTime()

/** What every control plane shows on its ports, and the tokens that are in use there. */
export const ofPlane = (tls: ServerTls, watch: TokenWatch, self: string): Expiring[] => [
  byHand('server certificate', `${self}; a restart renews it`, endOf(tls.certificate), {
    atMs: startOf(tls.certificate),
    remedy: 'restart the control plane: it replaces the certificate',
  }),
  byHand('authority of the control plane', self, endOf(tls.authority), {
    atMs: startOf(tls.authority),
    remedy:
      'correct the clock of this machine if it is behind; else wait until then, or start with an empty data folder and join everything anew',
  }),
  ...watch.live().map(({ purpose, who, endsAtMs }) => byHand(`${purpose} token`, who, endsAtMs)),
]

interface Deps {
  readonly clock: Clock
  readonly log: Log
  readonly sources: () => Promise<readonly Expiring[]>
}

const lookEveryMs = 60_000

/** Tells ahead of time what is about to end: in the status, as figures, and in the log once per hour at most. */
export function createExpiry({ clock, log, sources }: Deps) {
  let known: readonly Expiring[] = []
  const toldAtMs = new Map<string, number>()
  const looking = repeat(clock, lookEveryMs, lookAgain, 0)

  const isDue = ({ endsAtMs, warnMs }: Expiring): boolean => endsAtMs - clock.wallMs() < warnMs

  function lookAgain(): Promise<unknown> {
    return look().catch((thrown: unknown) =>
      log.warn({ reason: messageOf(thrown) }, 'cannot look what is about to end'),
    )
  }

  async function look(): Promise<readonly Expiring[]> {
    // One token may have opened several things.
    const byName = new Map((await sources()).map((one) => [`${one.what} of ${one.who} at ${one.endsAtMs}`, one]))
    known = [...byName.values()].sort((a, b) => a.endsAtMs - b.endsAtMs)
    for (const { what, who, start } of early()) {
      const begins = new Date(start.atMs).toISOString()
      logOncePerHour(`start of ${what} of ${who}`, () =>
        log.warn({ what, who, begins, remedy: start.remedy }, `the ${what} of ${who} is not valid before ${begins}`),
      )
    }
    const due = known.filter(isDue)
    const names = new Set([
      ...due.map(({ what, who }) => `${what} of ${who}`),
      ...early().map(({ what, who }) => `start of ${what} of ${who}`),
    ])
    for (const name of toldAtMs.keys()) if (!names.has(name)) toldAtMs.delete(name)
    for (const { what, who, endsAtMs } of due) {
      const name = `${what} of ${who}`
      const ends = new Date(endsAtMs).toISOString()
      logOncePerHour(name, () =>
        log.warn({ what, who, ends }, `the ${name} ${endsAtMs <= clock.wallMs() ? 'ended' : 'ends'} at ${ends}`),
      )
    }
    return due
  }

  function logOncePerHour(name: string, warn: () => void): void {
    const lastMs = toldAtMs.get(name)
    if (lastMs !== undefined && clock.monotonicMs() - lastMs < hourMs) return
    toldAtMs.set(name, clock.monotonicMs())
    warn()
  }

  /** Certificates that begin in the future. */
  const early = () =>
    known.flatMap(({ what, who, start }) => (start && start.atMs > clock.wallMs() ? [{ what, who, start }] : []))

  return {
    /** What is about to end, or has ended while it is still in use: the soonest first. */
    async report() {
      return (await look()).map(({ what, who, endsAtMs }) => ({
        what,
        who,
        ends: new Date(endsAtMs).toISOString(),
        endsInMs: Math.round(endsAtMs - clock.wallMs()),
      }))
    },
    /** Certificates that begin in the future, with what to do about them. Read after `report`. */
    notYetValid: () =>
      early().map(({ what, who, start }) => ({
        what,
        who,
        begins: new Date(start.atMs).toISOString(),
        beginsInMs: Math.round(start.atMs - clock.wallMs()),
        remedy: start.remedy,
      })),
    /** Seconds to the end of the one of each sort that ends first, whether or not it is due. */
    figures(): Record<string, number> {
      const nowMs = clock.wallMs()
      return Object.fromEntries(
        known
          .toReversed()
          .map(({ what, endsAtMs }) => [
            `zonemesh_expiry_seconds{what="${what}"}`,
            Math.round((endsAtMs - nowMs) / 1000),
          ]),
      )
    },
    close: (): void => looking[Symbol.dispose](),
  }
}
export type Expiry = ReturnType<typeof createExpiry>
