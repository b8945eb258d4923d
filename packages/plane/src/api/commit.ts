import { spanExpected, spanMs } from '@zonemesh/core/kinds/common.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { type Change, parsePosition, positionText } from '@zonemesh/shared/store/store.ts'
import { z } from 'zod'
import { commitAnswer, type Outcome, receipt } from './answers.ts'
import { readBody } from './bodies.ts'
import { changesOf, deletion, prepareDeletion, type Removal } from './deletions.ts'
import { plannedOutcome, plannedRemoval, unchangedSince } from './dry-run.ts'
import { ApiError, badRequest } from './errors.ts'
import { requireAdmin, type User } from './identity.ts'
import type { ApiPlane, ReceiptWait } from './plane.ts'
import { declaration, findMassRemovals, isDeclared, requireIntent } from './removals.ts'
import { committed, type Prepared, prepare } from './resources.ts'
import type { Answer, Call, Router } from './route.ts'
import { schemaShape } from './shape.ts'

const commitRequest = z.strictObject({
  documents: z.array(z.unknown()).max(1000, 'at most 1,000 documents'),
  /** If true, one refused document refuses the whole commit. */
  atomic: z.boolean().default(false),
  intent: z.string().max(200).default('apply'),
  /** Resources that the same commit deletes. */
  deletions: z.array(deletion).max(1000, 'at most 1,000 deletions').default([]),
  /** The caller confirms a mass removal. */
  declared: z.boolean().optional(),
  /** Judges everything and writes nothing. The outcomes say what would change. */
  dryRun: z.boolean().default(false),
  /** A revision. The commit is refused if one of its rows was written after it. */
  since: z.string().optional(),
})

const changesMax = 1000

const field = (document: unknown, key: string): string => {
  const value: unknown = document !== null && typeof document === 'object' ? Reflect.get(document, key) : undefined
  return typeof value === 'string' ? value : ''
}

const identity = (document: unknown, index: number) => ({
  index,
  type: field(document, 'type') || field(document, 'kind'),
  ...(field(document, 'mesh') ? { mesh: field(document, 'mesh') } : {}),
  name: field(document, 'name'),
})

async function prepareAll(
  plane: ApiPlane,
  user: User,
  documents: readonly unknown[],
  deletions: readonly z.infer<typeof deletion>[],
) {
  const isMesh = ([, document]: [number, unknown]) => field(document, 'type') === 'Mesh'
  const entries = [...documents.entries()]
  // Meshes first: a resource of a mesh needs a mesh that was not refused.
  const ordered = [...entries.filter(isMesh), ...entries.filter((entry) => !isMesh(entry))]
  /** Meshes that this call writes, and meshes that were already found. */
  const knownMeshes = new Set<string>()
  const prepared = new Map<number, Prepared>()
  const removals = new Map<number, Removal>()
  const seen = new Set<string>()
  const refused = new Map<number, Outcome>()
  async function collectRefusal(index: number, document: unknown, judge: () => Promise<void>): Promise<void> {
    try {
      await judge()
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown
      refused.set(index, {
        ...identity(document, index),
        outcome: 'refused',
        detail: thrown.message,
        ...(thrown.violations.length > 0 ? { violations: thrown.violations } : {}),
      })
    }
  }
  for (const [index, document] of ordered) {
    await collectRefusal(index, document, async () => {
      const ready = await prepare(plane, user, document, knownMeshes)
      const text = keyText(ready.key)
      if (seen.has(text)) throw badRequest('one commit contains the same resource twice')
      seen.add(text)
      prepared.set(index, ready)
      knownMeshes.add(ready.key.kind === 'Mesh' ? ready.key.name : ready.key.mesh)
    })
  }
  const writes = [...prepared.values()].map(({ key }) => key)
  for (const [at, deleted] of deletions.entries()) {
    const index = documents.length + at
    await collectRefusal(index, deleted, async () => {
      removals.set(index, await prepareDeletion(plane, user, deleted, writes))
    })
  }
  return { prepared, removals, refused }
}

type Judged = Awaited<ReturnType<typeof prepareAll>>

/** The changes of all valid documents and deletions. Throws an ApiError if they are too many for one commit. */
function changesIn({ prepared, removals }: Judged): Change[] {
  const puts = [...prepared.values()].map(({ key, labels, spec }): Change => ({ op: 'put', key, labels, spec }))
  // Two documents may contain the same inline key.
  const inlineSecrets = [...prepared.values()].flatMap(({ secrets }) =>
    secrets.map((secret) => [keyText(secret.key), secret] as const),
  )
  const changes = [...puts, ...new Map(inlineSecrets).values(), ...changesOf(removals.values())]
  if (changes.length > changesMax)
    throw badRequest(`this commit has ${changes.length} changes, more than ${changesMax}: send it in several commits`)
  return changes
}

/** The outcome of each document, then of each deletion. `of` is asked for those that were not refused. */
function outcomesOf(
  all: readonly unknown[],
  { prepared, removals, refused }: Judged,
  of: (judged: Prepared | Removal) => Pick<Outcome, 'outcome' | 'before' | 'after' | 'fields'>,
): Outcome[] {
  return all.map((document, index): Outcome => {
    const ready = prepared.get(index)
    const removal = removals.get(index)
    if (removal) return { ...identity(document, index), ...of(removal) }
    if (!ready) return refused.get(index) ?? { ...identity(document, index), outcome: 'refused' }
    const { kind, mesh, name, warnings } = ready.admitted
    const named = { index, type: kind.name, ...(mesh ? { mesh } : {}), name }
    return { ...named, ...of(ready), ...(warnings.length > 0 ? { warnings } : {}) }
  })
}

const statusOf = ({ prepared, removals, refused }: Judged, stop: boolean): number =>
  refused.size === 0 ? 200 : stop || prepared.size + removals.size === 0 ? 400 : 207

/** Writes all valid documents and deletions of a call in one commit, and returns the outcome of each. */
async function apply(plane: ApiPlane, call: Call): Promise<Answer> {
  const { documents, deletions, atomic, intent, dryRun, since } = readBody(commitRequest, call.body)
  const judged = await prepareAll(plane, call.user, documents, deletions)
  const all = [...documents, ...deletions]
  // A document decides who may write it. Without one, the commit does.
  if (all.length === 0) requireAdmin(call.user, 'commit')
  if (dryRun) return planned(plane, judged, all)
  const stop = atomic && judged.refused.size > 0
  const found = stop ? [] : changesIn(judged)
  const changes = since === undefined ? found : await unchangedSince(plane, found, since)
  const declared = isDeclared(call)
  await requireIntent(plane, changes, declared)
  const commit = { changes, subject: call.user.name, intent, ...declaration(changes, declared) }
  const outcome = changes.length > 0 ? committed(await plane.commit(commit)) : undefined
  const revision = positionText(outcome?.position ?? (await plane.store.head()))
  const written = new Set((outcome?.written ?? []).map((version) => keyText(version.key)))
  const outcomes = outcomesOf(all, judged, (one) => {
    if (stop) return { outcome: 'skipped' }
    if ('row' in one) return { outcome: 'deleted' }
    return { outcome: !one.existing ? 'created' : written.has(keyText(one.key)) ? 'updated' : 'unchanged' }
  })
  return {
    status: statusOf(judged, stop),
    body: { revision, outcomes },
    headers: { 'Zonemesh-Revision': revision },
  }
}

/** The answer of a dry run: what would change now, and the removals that the caller would have to confirm. */
async function planned(plane: ApiPlane, judged: Judged, all: readonly unknown[]): Promise<Answer> {
  const revision = positionText(await plane.store.head())
  const massRemovals = await findMassRemovals(plane, changesIn(judged))
  const outcomes = outcomesOf(all, judged, (one) =>
    'row' in one ? plannedRemoval(plane, one) : plannedOutcome(plane, one),
  )
  return { status: statusOf(judged, false), body: { revision, dryRun: true, massRemovals, outcomes } }
}

const waitMsMax = 300_000

/** `all` waits for the zones that are online, because nobody knows when another one comes back. */
const zonesOf = (text: string): ReceiptWait['zones'] =>
  text === 'all' || text === 'online' ? 'online' : text === 'every' ? 'every' : text.split(',')

/** The number of a revision that this store contains: `<store>@<revision>.<commit id>`, or `@<revision>` of events. */
async function ownRevision({ store }: ApiPlane, text: string): Promise<number> {
  const position = parsePosition(text)
  const plain = /^@(\d{1,15})$/.exec(text)?.[1]
  if (!position && plain === undefined)
    throw badRequest('expected a revision in the form <store>@<revision>.<commit id>, or @<revision>')
  const isKnown = position
    ? (await store.standing(position)) !== 'diverged'
    : Number(plain) <= (await store.head()).revision
  const detail = 'the store of this control plane does not contain this commit'
  if (!isKnown) throw new ApiError(404, 'Could not retrieve a resource', detail)
  return position?.revision ?? Number(plain)
}

/** `GET /_receipts/<revision>?wait=served@all&timeout=5s`: which zones store or serve a revision, and their delay. */
async function getReceipt(plane: ApiPlane, call: Call): Promise<Answer> {
  const revision = await ownRevision(plane, call.params['revision'] ?? '')
  const wait = /^(stored|served|applied)@([a-z0-9.,-]+)$/.exec(call.query.get('wait') ?? 'served@all')
  if (!wait) throw badRequest('wait must be stored@all, served@all, served@every or served@<zone>[,<zone>]')
  const timeout = call.query.get('timeout') ?? '0s'
  const timeoutMs = spanMs(timeout)
  if (timeoutMs === undefined) throw badRequest(`timeout: ${spanExpected}, found "${timeout}"`)
  const level = wait[1] === 'stored' ? 'stored' : 'served'
  const zones = zonesOf(wait[2] ?? '')
  return {
    status: 200,
    body: await plane.receipt({ revision, level, zones, timeoutMs: Math.min(timeoutMs, waitMsMax) }),
  }
}

/** Registers commits of many documents, and their receipts. */
export function registerCommit(route: Router): void {
  const outcomes = (what: string) => ({ what, shape: schemaShape(commitAnswer) })
  route('POST', '/_commit', apply, {
    group: 'Commits',
    summary: 'Writes and deletes resources in one commit',
    access: 'administrators',
    query: { declared: '`true` confirms the removal of very many resources' },
    body: schemaShape(commitRequest),
    answers: {
      200: outcomes('every document was accepted'),
      207: outcomes('the accepted documents were written, and others refused'),
      400: outcomes('nothing was written; `outcomes` has the reasons'),
    },
  })
  route('GET', '/_receipts/:revision', getReceipt, {
    group: 'Commits',
    summary: 'Waits until zones store or serve a revision',
    access: 'readers',
    query: {
      wait: '`stored` or `served`, followed by `@all`, `@every` or `@ZONE[,ZONE]`; `served@all` by default',
      timeout: 'the longest wait, such as `5s`; at most 5 minutes, and no wait by default',
    },
    answers: { 200: { what: 'the state of each zone', shape: schemaShape(receipt) } },
  })
}
