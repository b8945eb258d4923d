import { type GatewayCertificateSpec, gatewayCertificate, secretRequest } from '@zonemesh/core/kinds/internal.ts'
import { parsedRows, specOf } from '@zonemesh/core/kinds/row.ts'
import { secretKinds, secretsOf } from '@zonemesh/core/parse.ts'
import { canonicalJson, err, type JsonObject, messageOf, type Result } from '@zonemesh/shared/base/base.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { keyText, type Row } from '@zonemesh/shared/resource/resource.ts'
import type { Change, Commit, CommitOutcome, Store } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'
import { secretText } from '../authority/secret.ts'
import { keyIdOf, type PublicKey, sealFor } from './envelope.ts'
import { type ListenerCertificate, readListenerCertificate } from './pem.ts'

interface Deps {
  readonly store: Store
  readonly sealer: Sealer
  readonly origin: string
  readonly log: Log
  readonly commit: (commit: Commit) => Promise<CommitOutcome>
}

/** The kinds from which the certificates of listeners are derived. */
export const certificateSources = ['Secret', ...secretKinds, 'SecretRequest', 'Zone', 'Mesh']

type Facts = Omit<ListenerCertificate, 'chain' | 'key'>
type Reading = Result<Facts, string>

const triesMax = 3
const changesMax = 1_000

/**
 * Runs on the plane that owns secrets. For each secret that a listener names, and each zone that has published a key,
 * it keeps one row with the certificate sealed for that zone. If a secret cannot be used, the row states the problem.
 * A zone that already has a good certificate of this secret keeps it, with the problem beside it.
 */
export function createCertificateKeeper({ store, sealer, origin, log, commit }: Deps) {
  /**
   * Facts about secrets, without their keys; valid while the sealed text is the same. Limit: the secrets that
   * listeners name.
   */
  let cache = new Map<string, { readonly sealed: unknown; readonly read: Reading }>()
  const loggedProblems = new Map<string, string>()

  const open = (row: Row): Result<ListenerCertificate, string> => {
    try {
      return readListenerCertificate(secretText(sealer, row))
    } catch (thrown) {
      return err(messageOf(thrown))
    }
  }

  function factsOf(row: Row): Reading {
    const found = open(row)
    if (!found.ok) return found
    const { chain: _chain, key: _key, ...facts } = found.value
    return { ok: true, value: facts }
  }

  /** The secrets that listeners name, with the facts about them. */
  async function namedSecrets(): Promise<readonly { readonly row: Row; readonly read: Reading }[]> {
    const names = new Set<string>()
    for (const kind of secretKinds)
      for (const row of await store.scan({ kind, origin }))
        for (const secret of secretsOf(row)) names.add(`${row.key.mesh}/${secret}`)
    if (names.size === 0) return []
    const next: typeof cache = new Map()
    const found = (await store.scan({ kind: 'Secret', origin })).filter(({ key }) =>
      names.has(`${key.mesh}/${key.name}`),
    )
    const read = found.map((row) => {
      const { sealed } = row.spec
      const source = keyText(row.key)
      const former = cache.get(source)
      const entry = former !== undefined && former.sealed === sealed ? former : { sealed, read: factsOf(row) }
      next.set(source, entry)
      return { row, read: entry.read }
    })
    cache = next
    return read
  }

  /** The public keys of the zones that exist. */
  async function zoneKeys(): Promise<ReadonlyMap<string, PublicKey>> {
    const zones = new Set((await store.scan({ kind: 'Zone', origin })).map(({ key }) => key.name))
    const requests = (await store.scan({ kind: 'SecretRequest' })).filter(({ key }) => zones.has(key.origin))
    return new Map(parsedRows(secretRequest, requests).map(({ key, spec }) => [key.origin, spec]))
  }

  function logProblem(source: string, problem: string | undefined): void {
    if (problem === undefined) loggedProblems.delete(source)
    else if (loggedProblems.get(source) !== problem) {
      loggedProblems.set(source, problem)
      log.warn({ secret: source, problem }, 'a listener names a secret that it cannot use')
    }
  }

  /** The row of one secret for one zone; equal to the standing row if nothing has changed. */
  async function specFor(
    { row, read }: { readonly row: Row; readonly read: Reading },
    zone: string,
    key: PublicKey,
    standing: GatewayCertificateSpec | undefined,
  ): Promise<GatewayCertificateSpec> {
    const secret = row.key.name
    const isGood = standing !== undefined && 'sealed' in standing && keyIdOf(standing.sealed) === key.keyId
    if (!read.ok) return isGood ? { ...standing, refused: read.error } : { secret, zone, problem: read.error }
    if (isGood && standing.fingerprint === read.value.fingerprint) {
      const { refused: _refused, ...rest } = standing
      return rest
    }
    const opened = open(row)
    if (!opened.ok) return { secret, zone, problem: opened.error }
    const { chain, key: privateKey, names, ...facts } = opened.value
    return { secret, zone, ...facts, names: [...names], sealed: await sealFor(key, chain + privateKey) }
  }

  async function changes(): Promise<Change[]> {
    const secrets = await namedSecrets()
    const rows = await store.scan({ kind: 'GatewayCertificate', origin })
    if (secrets.length === 0 && rows.length === 0) return []
    const zones = await zoneKeys()
    const left = new Map(rows.map((row) => [keyText(row.key), row]))
    const found: Change[] = []
    for (const secret of secrets) {
      logProblem(keyText(secret.row.key), secret.read.ok ? undefined : secret.read.error)
      for (const [zone, zoneKey] of zones) {
        const key = { ...secret.row.key, kind: 'GatewayCertificate', name: `${secret.row.key.name}.${zone}` }
        const standing = left.get(keyText(key))
        left.delete(keyText(key))
        const before = standing && specOf(gatewayCertificate, standing)
        // It is JSON: no member is undefined.
        const spec = { ...(await specFor(secret, zone, zoneKey, before)) } as JsonObject
        if (standing && canonicalJson(standing.spec) === canonicalJson(spec)) continue
        const version = standing && (await store.get(key))
        const expect = version?.row ? { revision: version.revision } : ({ absent: true } as const)
        found.push({ op: 'put', key, labels: {}, spec, expect })
      }
    }
    return [...[...left.values()].map(({ key }): Change => ({ op: 'delete', key })), ...found]
  }

  /** Writes the changes. Returns false on a conflict: another process of this plane may write the same rows. */
  async function step(): Promise<boolean> {
    const all = await changes()
    for (let at = 0; at < all.length; at += changesMax) {
      const outcome = await commit({
        changes: all.slice(at, at + changesMax),
        subject: 'mesh-system:control-plane',
        intent: 'update certificates of listeners from their secrets',
        declared: true,
      })
      if (!outcome.ok) return false
    }
    return true
  }

  return {
    async reconcile(): Promise<void> {
      for (let tries = 0; tries < triesMax; tries += 1) if (await step()) return
      log.warn(
        {},
        'cannot update the certificates of listeners: other processes write them at the same time; trying again later',
      )
    },
  }
}
