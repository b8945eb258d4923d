import { assert, byCodeUnit, type JsonObject } from '../base/base.ts'
import { type Failure, supervise } from '../env/supervise.ts'
import { keyText, type Row } from '../resource/resource.ts'
import { HorizonError, StoreUnavailableError } from './errors.ts'
import type { FaultHook } from './faults.ts'
import { createCommitGroup, type Round, type Transacted } from './group.ts'
import { type PlannedCommit, planRound } from './plan.ts'
import { type Ask, createDatabase, type Found, placeOf } from './postgres-connection.ts'
import { openHints } from './postgres-hints.ts'
import { prepareSchema, type SchemaDeps } from './postgres-schema.ts'
import { recordColumns, statementsOf, versionColumns } from './postgres-statements.ts'
import type { CommitOutcome, CommitRecord, Position, Store, Version } from './store.ts'
import { afterEveryKey, keyRange, resumeFrom, versionFrom } from './stored.ts'

export interface PostgresDeps extends SchemaDeps {
  readonly faultPoint?: FaultHook
}

export interface PostgresOptions {
  /** `postgres://user:password@host:5432/database`, with `?schema=` for another schema than "zonemesh". */
  readonly url: string
  /** Whose store it is to be; found to be another's, it is not opened. */
  readonly owner?: string
  readonly horizonRevisions?: number
}

const rowsPerStatement = 1_000
const rowsPerPage = 500
/** How long a commit waits for the server to come back and say whether it was made. */
const outcomeWaitMs = 10_000
const outcomeAskEveryMs = 250
/** So many revisions are dropped in one transaction. */
const revisionsPerPrune = 5_000

/** The one line of the head table. */
interface Head {
  readonly incarnation: number
  readonly horizon: number
  readonly head: Position
  readonly mark: Position
}

/** What a transaction is to write. */
interface Plan {
  readonly before: Head
  readonly head: Position
  readonly mark: Position
  readonly outcomes: readonly CommitOutcome[]
  readonly versions: readonly Version[]
  readonly records: readonly CommitRecord[]
}

/**
 * The store in a PostgreSQL database, for one process or for several at once. Commits of all processes follow each other by the
 * lock of the head's line, which a commit takes first; so revisions have no gaps, and what is planned under it is planned against
 * what is there. Nothing is kept in memory but the newest mark that was told of: every read asks the database.
 * Throws StoreOpenError when it cannot be opened; later, whatever finds no database rejects with StoreUnavailableError.
 */
export async function openPostgresStore(deps: PostgresDeps, options: PostgresOptions): Promise<Store> {
  const { clock, random, log } = deps
  const horizonRevisions = options.horizonRevisions ?? 20_000
  const place = placeOf(options.url)
  const sql = statementsOf(place.schema)
  const { id } = await prepareSchema(deps, place, options.owner)
  const database = createDatabase(place)
  const group = createCommitGroup((run) => setImmediate(run), transact)
  const closing = new AbortController()
  const readHead = shareReads(async () => headFrom((await database.ask(sql.head))[0]))

  let incarnation = 0
  let toldMark = 0
  let pruning: Promise<void> | undefined

  function headFrom(found: Found | undefined): Head {
    const store = String(found?.['store'])
    if (store !== id) {
      const expected = `cannot use store ${place.text}: expected store ${id}`
      throw new Error(`${expected}, found ${found ? store : 'none'}: it was replaced; start this control plane again`)
    }
    incarnation = Number(found?.['incarnation'])
    const at = (revision: string, commitId: string) => ({
      store,
      revision: Number(found?.[revision]),
      commitId: String(found?.[commitId]),
    })
    return {
      incarnation,
      horizon: Number(found?.['horizon']),
      head: at('revision', 'commit_id'),
      mark: at('mark', 'mark_commit_id'),
    }
  }

  function isNews(mark: Position): boolean {
    if (mark.revision <= toldMark) return false
    toldMark = mark.revision
    return true
  }

  /** Wakes listeners for marks of other processes; `anyway` also if one of them may have failed to read the last. */
  async function lookForMark(anyway: boolean): Promise<void> {
    try {
      const { mark } = await readHead()
      if (isNews(mark) || anyway) group.wake()
    } catch (cause) {
      log.warn({ store: place.text, err: cause }, 'cannot look for a newer mark; trying again by the next poll')
    }
  }

  async function transact(rounds: readonly Round[]): Promise<Transacted> {
    let decided: Plan | undefined
    const plan = await database
      .session(async (ask) => {
        const before = headFrom((await ask(sql.begin))[0])
        deps.faultPoint?.('begin')
        const planned = planGroup(rounds, before, await newestOf(ask, rounds))
        if (planned.mark.revision !== before.mark.revision || planned.versions.length > 0) await write(ask, planned)
        deps.faultPoint?.('before-commit')
        decided = planned
        await ask(sql.commit)
        deps.faultPoint?.('after-commit')
        return planned
      })
      .catch(async (cause: unknown) => {
        // Asked to commit, and no answer: nobody knows but the database.
        if (decided && (await wasMade(decided, cause))) return decided
        throw cause
      })
    const newMark = isNews(plan.mark)
    if (newMark) hints.tell()
    if (plan.head.revision - plan.before.horizon > horizonRevisions * 1.25) pruning ??= prune()
    return { outcomes: plan.outcomes, newMark }
  }

  async function newestOf(ask: Ask, rounds: readonly Round[]): Promise<Map<string, Version>> {
    const changes = rounds.flatMap(({ parts }) => parts.flatMap((part) => part.changes))
    const texts = [...new Set(changes.map(({ key }) => keyText(key)))].sort(byCodeUnit)
    const newest = new Map<string, Version>()
    for (const part of inParts(texts)) {
      for (const found of await ask(sql.newestOf, [part])) newest.set(String(found['key']), versionFrom(found))
    }
    return newest
  }

  function planGroup(rounds: readonly Round[], before: Head, newest: Map<string, Version>): Plan {
    let { head, mark } = before
    const commits: PlannedCommit[] = []
    const outcomes = rounds.map((round) => {
      const plan = planRound(round.parts, {
        newest: (text) => newest.get(text),
        incarnation: before.incarnation,
        head,
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

  async function write(ask: Ask, { versions, records, head, mark }: Plan): Promise<void> {
    const parts = inParts(versions)
    for (const part of parts.slice(0, -1)) await ask(sql.addVersions, versionColumns(part))
    await ask(sql.addAll, [
      ...versionColumns(parts.at(-1) ?? []),
      ...recordColumns(records),
      ...[head.revision, head.commitId, mark.revision, mark.commitId],
    ])
  }

  /**
   * Whether a transaction whose answer was lost was made. The lock of the head is held by it until it has ended one way or the
   * other, also on a server that does not know yet that we are gone; so who has the lock sees the truth.
   */
  async function wasMade(plan: Plan, lost: unknown): Promise<boolean> {
    const endMs = clock.monotonicMs() + outcomeWaitMs
    const attempt = () =>
      database.session(async (ask) => {
        const now = headFrom((await ask(sql.begin))[0])
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
      throw new StoreUnavailableError(`${cause.message}; it did not say whether the commit was made`, { cause: lost })
    })
  }

  /** Beside the commits. Only what was superseded since the last time is looked at, so the cost follows the changes. */
  async function prune(): Promise<void> {
    try {
      for (let more = true; more && !closing.signal.aborted; ) more = await database.session(pruneOnce)
    } catch (cause) {
      log.error(
        { store: place.text, err: cause },
        'cannot drop old versions from the store; trying again after later commits',
      )
    }
    pruning = undefined
  }

  async function pruneOnce(ask: Ask): Promise<boolean> {
    const [found] = await ask(sql.lockPrune)
    const { head, mark, horizon } = headFrom(found)
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

  /** An empty page does not tell the horizon of its snapshot. The one that is read after it is no lower. */
  async function requireHorizon(revision: number, page: readonly Found[]): Promise<void> {
    const horizon = page[0] ? Number(page[0]['horizon']) : (await readHead()).horizon
    if (revision < horizon) throw new HorizonError(revision, horizon)
  }

  const hints = await openHints(deps, place, (what) => void lookForMark(what === 'lost'))
  try {
    toldMark = (await readHead()).mark.revision
  } catch (cause) {
    await Promise.all([hints.close(), database.close()])
    throw cause
  }
  return {
    id,
    get incarnation() {
      return incarnation
    },
    async raiseIncarnation(atLeast) {
      headFrom((await database.ask(sql.raiseIncarnation, [atLeast]))[0])
    },
    notes: {
      async put(entries) {
        const last = new Map(entries.map(({ name, value }) => [name, value]))
        // In one order, so that two processes cannot wait for each other.
        const names = [...last.keys()].sort(byCodeUnit)
        const kept = names.filter((name) => last.get(name))
        const values = kept.map((name) => JSON.stringify(last.get(name)))
        await database.ask(sql.putNotes, [kept, values, names.filter((name) => !last.get(name))])
      },
      async read(prefix) {
        const found = await database.ask(sql.notes, [prefix, prefix + afterEveryKey])
        // Each was written by `put`, as the JSON text of an object.
        return new Map(found.map(({ name, value }) => [String(name), JSON.parse(String(value)) as JsonObject]))
      },
    },
    fault: () => undefined,
    head: async () => (await readHead()).head,
    mark: async () => (await readHead()).mark,
    commitRound: group.commitRound,
    commit: group.commit,
    async get(key) {
      const [found] = await database.ask(sql.newest, [keyText(key)])
      return found && versionFrom(found)
    },
    async scan(selection, { at: wanted, after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      const { from, below } = keyRange(selection)
      const rows: Row[] = []
      let at = wanted
      let resume = after > from ? after : from
      for (;;) {
        const want = Math.min(rowsPerPage, limit - rows.length)
        const { kind = null, mesh = null } = selection
        const values = [at ?? null, resume, below, want, kind, mesh]
        const page = await database.ask(sql.scan(selection, at === undefined), values)
        if (page[0]) at = Number(page[0]['at'])
        if (at !== undefined) await requireHorizon(at, page)
        for (const { row } of page.map(versionFrom)) if (row) rows.push(row)
        const end = page.at(-1)
        if (page.length < want || rows.length >= limit || !end) return rows
        resume = String(end['key'])
      }
    },
    async changesSince(after, through, { limit = rowsPerPage, resume, origin } = {}) {
      const wanted = [through, ...resumeFrom(after, resume), limit]
      const { from, below } = keyRange(origin === undefined ? {} : { origin })
      const page = await (origin === undefined
        ? database.ask(sql.changes, wanted)
        : database.ask(sql.changesOf, [...wanted, from, below]))
      await requireHorizon(after, page)
      const versions = page.map(versionFrom)
      const end = versions.at(-1)
      return versions.length === limit && end ? { versions, next: `${end.revision}/${keyText(end.key)}` } : { versions }
    },
    history: async (key) => (await database.ask(sql.history, [keyText(key)])).map(versionFrom),
    async records({ after, limit }) {
      return (await database.ask(sql.records, [after, limit])).map((record) => ({
        position: { store: id, revision: Number(record['revision']), commitId: String(record['commit_id']) },
        subject: String(record['subject']),
        intent: String(record['intent']),
        atMs: Number(record['at_ms']),
        rows: Number(record['rows']),
      }))
    },
    async standing(position) {
      const [found] = await database.ask(sql.standing, [position.revision])
      const { head, horizon } = headFrom(found)
      if (position.store !== id || position.revision > head.revision) return 'diverged'
      if (position.revision < horizon) return 'behind'
      return found?.['asked_id'] === position.commitId ? 'valid' : 'diverged'
    },
    onMark: (listener) => group.onMark(listener),
    async close() {
      closing.abort(new StoreUnavailableError(`store ${place.text} is closing`))
      await group.close()
      await hints.close()
      await pruning
      await database.close()
    },
  }
}

const inParts = <T>(list: readonly T[]): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(list.length / rowsPerStatement) }, (_, index) =>
    list.slice(index * rowsPerStatement, (index + 1) * rowsPerStatement),
  )

/** Who asks while a read is under way shares the next one: it sees what was there when it asked, and many cost as one. */
function shareReads<T>(read: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const start = () => {
    next = undefined
    const mine = read().finally(() => {
      if (running === mine) running = undefined
    })
    running = mine
    return mine
  }
  return () => {
    if (!running) return start()
    next ??= running.then(start, start)
    return next
  }
}
