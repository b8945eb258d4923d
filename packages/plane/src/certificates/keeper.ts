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

/** What the certificates of listeners follow from. */
export const certificateSources = ['Secret', ...secretKinds, 'SecretRequest', 'Zone', 'Mesh']

type Facts = Omit<ListenerCertificate, 'chain' | 'key'>
type Read = Result<Facts, string>

const triesMax = 3
const changesMax = 1_000

/**
 * Where secrets live: for each one that a listener names, and each zone that has told its key, keeps one row with the
 * certificate sealed for that zone. A secret that cannot be used becomes a problem; a zone that has had a good certificate of
 * it keeps that one, with the problem beside it.
 */
export function createCertificateKeeper({ store, sealer, origin, log, commit }: Deps) {
  /** What secrets were found to hold, by what they lie sealed as: without keys. Limit: the secrets that listeners name. */
  let known = new Map<string, { readonly sealed: unknown; readonly read: Read }>()
  const told = new Map<string, string>()

  const open = (row: Row): Result<ListenerCertificate, string> => {
    try {
      return readListenerCertificate(secretText(sealer, row))
    } catch (thrown) {
      return err(messageOf(thrown))
    }
  }

  function factsOf(row: Row): Read {
    const found = open(row)
    if (!found.ok) return found
    const { chain: _chain, key: _key, ...facts } = found.value
    return { ok: true, value: facts }
  }

  /** The secrets that listeners name, with what they hold. */
  async function namedSecrets(): Promise<readonly { readonly row: Row; readonly read: Read }[]> {
    const names = new Set<string>()
    for (const kind of secretKinds)
      for (const row of await store.scan({ kind, origin }))
        for (const secret of secretsOf(row)) names.add(`${row.key.mesh}/${secret}`)
    if (names.size === 0) return []
    const next: typeof known = new Map()
    const found = (await store.scan({ kind: 'Secret', origin })).filter(({ key }) =>
      names.has(`${key.mesh}/${key.name}`),
    )
    const read = found.map((row) => {
      const { sealed } = row.spec
      const source = keyText(row.key)
      const former = known.get(source)
      const one = former !== undefined && former.sealed === sealed ? former : { sealed, read: factsOf(row) }
      next.set(source, one)
      return { row, read: one.read }
    })
    known = next
    return read
  }

  /** The keys of the zones that there are. */
  async function zoneKeys(): Promise<ReadonlyMap<string, PublicKey>> {
    const zones = new Set((await store.scan({ kind: 'Zone', origin })).map(({ key }) => key.name))
    const requests = (await store.scan({ kind: 'SecretRequest' })).filter(({ key }) => zones.has(key.origin))
    return new Map(parsedRows(secretRequest, requests).map(({ key, spec }) => [key.origin, spec]))
  }

  function tell(source: string, problem: string | undefined): void {
    if (problem === undefined) told.delete(source)
    else if (told.get(source) !== problem) {
      told.set(source, problem)
      log.warn({ secret: source, problem }, 'a listener names a secret that it cannot use')
    }
  }

  /** What one zone is to have of one secret; the standing row itself if nothing has changed. */
  async function wanted(
    { row, read }: { readonly row: Row; readonly read: Read },
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
    for (const one of secrets) {
      tell(keyText(one.row.key), one.read.ok ? undefined : one.read.error)
      for (const [zone, zoneKey] of zones) {
        const key = { ...one.row.key, kind: 'GatewayCertificate', name: `${one.row.key.name}.${zone}` }
        const standing = left.get(keyText(key))
        left.delete(keyText(key))
        const before = standing && specOf(gatewayCertificate, standing)
        // No member is undefined.
        const spec = { ...(await wanted(one, zone, zoneKey, before)) } as JsonObject
        if (standing && canonicalJson(standing.spec) === canonicalJson(spec)) continue
        const version = standing && (await store.get(key))
        const expect = version?.row ? { revision: version.revision } : ({ absent: true } as const)
        found.push({ op: 'put', key, labels: {}, spec, expect })
      }
    }
    return [...[...left.values()].map(({ key }): Change => ({ op: 'delete', key })), ...found]
  }

  /** False if somebody else has written meanwhile: another process of this plane may keep the same rows. */
  async function step(): Promise<boolean> {
    const all = await changes()
    for (let at = 0; at < all.length; at += changesMax) {
      const outcome = await commit({
        changes: all.slice(at, at + changesMax),
        subject: 'mesh-system:control-plane',
        intent: 'certificates of listeners follow their secrets',
        declared: true,
      })
      if (!outcome.ok) return false
    }
    return true
  }

  return {
    async reconcile(): Promise<void> {
      for (let tries = 0; tries < triesMax; tries += 1) if (await step()) return
      log.warn({}, 'the certificates of listeners wait: others write them at the same time')
    },
  }
}
