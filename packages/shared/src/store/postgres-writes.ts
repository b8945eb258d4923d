import { assert, byCodeUnit } from '../base/base.ts'
import { type Failure, supervise } from '../env/supervise.ts'
import { keyText } from '../resource/resource.ts'
import { StoreUnavailableError } from './errors.ts'
import { createCommitGroup, type Round, type Transacted } from './group.ts'
import { type PlannedCommit, planRound } from './plan.ts'
import type { Ask } from './postgres-connection.ts'
import { type Head, headFrom, type OpenPostgres, type PostgresDeps } from './postgres-open.ts'
import { recordColumns, versionColumns } from './postgres-statements.ts'
import type { CommitOutcome, CommitRecord, Position, Version } from './store.ts'
import { versionFrom } from './stored.ts'

const rowsPerStatement = 1_000
/** How long a commit whose answer was lost waits for the server, to find out whether it was committed. */
const outcomeWaitMs = 10_000
const outcomeAskEveryMs = 250
/** How many revisions one transaction prunes. */
const revisionsPerPrune = 5_000

/**
 * The commits of one process: rounds of one turn share a transaction. `announce` gets the mark after each transaction,
 * and returns whether it is new. Old versions are dropped once there are clearly more than the horizon needs.
 */
export function createCommits(opened: OpenPostgres, announce: (mark: Position) => boolean) {
  let pruning: Promise<void> | undefined

  async function commitGroup(rounds: readonly Round[]): Promise<Transacted> {
    const plan = await transact(opened, rounds)
    opened.history.saw(plan.head)
    const newMark = announce(plan.mark)
    if (plan.head.revision - plan.before.horizon > opened.horizonRevisions * 1.25)
      pruning ??= prune(opened).finally(() => {
        pruning = undefined
      })
    return { outcomes: plan.outcomes, newMark }
  }

  return {
    ...createCommitGroup((run) => setImmediate(run), commitGroup),
    /** Resolves when no versions are being dropped. */
    pruned: async () => pruning,
  }
}

/** The planned writes of a transaction. */
interface Plan {
  readonly before: Head
  readonly head: Position
  readonly mark: Position
  readonly outcomes: readonly CommitOutcome[]
  readonly versions: readonly Version[]
  readonly records: readonly CommitRecord[]
}

/**
 * Writes the group in one transaction and returns what it wrote. If the answer to COMMIT is lost, it asks the database.
 */
async function transact(opened: OpenPostgres, rounds: readonly Round[]): Promise<Plan> {
  const { deps, sql, database } = opened
  let decided: Plan | undefined
  return database
    .session(async (ask) => {
      const before = headFrom(opened, (await ask(sql.begin))[0])
      deps.faultPoint?.('begin')
      const planned = planGroup(deps, rounds, before, await newestOf(opened, ask, rounds))
      if (planned.mark.revision !== before.mark.revision || planned.versions.length > 0)
        await write(opened, ask, planned)
      deps.faultPoint?.('before-commit')
      decided = planned
      await ask(sql.commit)
      deps.faultPoint?.('after-commit')
      return planned
    })
    .catch(async (cause: unknown) => {
      // COMMIT was sent and not answered, so only the database can show whether it was made.
      if (decided && (await wasMade(opened, decided, cause))) return decided
      throw cause
    })
}

async function newestOf({ sql }: OpenPostgres, ask: Ask, rounds: readonly Round[]): Promise<Map<string, Version>> {
  const changes = rounds.flatMap(({ parts }) => parts.flatMap((part) => part.changes))
  const texts = [...new Set(changes.map(({ key }) => keyText(key)))].sort(byCodeUnit)
  const newest = new Map<string, Version>()
  for (const part of inParts(texts)) {
    for (const found of await ask(sql.newestOf, [part])) newest.set(String(found['key']), versionFrom(found))
  }
  return newest
}

function planGroup(deps: PostgresDeps, rounds: readonly Round[], before: Head, newest: Map<string, Version>): Plan {
  const { clock, random } = deps
  let { head, mark } = before
  const commits: PlannedCommit[] = []
  const outcomes = rounds.map((round) => {
    const plan = planRound(round.parts, {
      newest: (text) => newest.get(text),
      incarnation: before.incarnation,
      head,
      expectedHead: round.head,
      nowMs: clock.wallMs(),
      random,
    })
    for (const version of plan.commits.flatMap(({ versions }) => versions)) {
      deps.faultPoint?.('version')
      newest.set(keyText(version.key), version)
    }
    commits.push(...plan.commits)
    if (plan.outcome.ok) head = plan.outcome.position
    if (plan.outcome.ok && !round.unmarked) mark = head
    return plan.outcome
  })
  const records = commits.map(({ versions, ...record }) => ({ ...record, rows: versions.length }))
  return { before, head, mark, outcomes, versions: commits.flatMap(({ versions }) => versions), records }
}

async function write({ sql }: OpenPostgres, ask: Ask, { versions, records, head, mark }: Plan): Promise<void> {
  const parts = inParts(versions)
  for (const part of parts.slice(0, -1)) await ask(sql.addVersions, versionColumns(part))
  await ask(sql.addAll, [
    ...versionColumns(parts.at(-1) ?? []),
    ...recordColumns(records),
    ...[head.revision, head.commitId, mark.revision, mark.commitId],
  ])
}

/**
 * Whether a transaction was committed although its answer was lost. The transaction holds the lock of the head until it
 * ends, even if the server has not noticed the lost connection yet. So a reader with the lock sees the outcome.
 */
async function wasMade(opened: OpenPostgres, plan: Plan, lost: unknown): Promise<boolean> {
  const { deps, sql, database, closing } = opened
  const { clock } = deps
  const endMs = clock.monotonicMs() + outcomeWaitMs
  const attempt = () =>
    database.session(async (ask) => {
      const now = headFrom(opened, (await ask(sql.begin))[0])
      const [record] = await ask(sql.standing, [plan.head.revision])
      await ask(sql.commit)
      if (plan.records.length === 0) return now.mark.revision >= plan.mark.revision
      assert(plan.head.revision >= now.horizon, 'the record of a commit was dropped while it was looked for')
      return record?.['asked_id'] === plan.head.commitId
    })
  const judge = ({ cause }: Failure) => {
    if (!(cause instanceof StoreUnavailableError) || clock.monotonicMs() >= endMs) throw cause
    return { waitMs: outcomeAskEveryMs }
  }
  return supervise(clock, { attempt, judge }, closing.signal).catch((cause: unknown) => {
    if (!(cause instanceof StoreUnavailableError)) throw cause
    throw new StoreUnavailableError(`${cause.message}; it is unknown whether the commit was made`, { cause: lost })
  })
}

/**
 * Drops old versions while commits continue. It reads only versions above the former horizon, so its cost depends on
 * the changes.
 */
async function prune(opened: OpenPostgres): Promise<void> {
  const { deps, place, database, closing } = opened
  try {
    for (let more = true; more && !closing.signal.aborted; )
      more = await database.session((ask) => pruneOnce(opened, ask))
  } catch (cause) {
    deps.log.error(
      { store: place.text, err: cause },
      'cannot drop old versions from the store; trying again after later commits',
    )
  }
}

async function pruneOnce(opened: OpenPostgres, ask: Ask): Promise<boolean> {
  const { sql, horizonRevisions } = opened
  const [found] = await ask(sql.lockPrune)
  const { head, mark, horizon } = headFrom(opened, found)
  const goal = Math.min(mark.revision, head.revision - horizonRevisions)
  const next = Math.min(goal, horizon + revisionsPerPrune)
  if (found?.['locked'] === true && next > horizon) {
    await ask(sql.dropSuperseded, [horizon, next])
    await ask(sql.dropRemoved, [horizon, next])
    await ask(sql.dropRecords, [next])
    await ask(sql.setHorizon, [next])
  }
  await ask(sql.commit)
  return found?.['locked'] === true && next < goal
}

const inParts = <T>(list: readonly T[]): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(list.length / rowsPerStatement) }, (_, index) =>
    list.slice(index * rowsPerStatement, (index + 1) * rowsPerStatement),
  )
