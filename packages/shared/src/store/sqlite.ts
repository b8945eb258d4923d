import type { SQLInputValue } from 'node:sqlite'
import { type JsonObject, messageOf } from '../base/base.ts'
import type { Clock } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import type { Random } from '../env/random.ts'
import { keyText, parseKeyText, type Row } from '../resource/resource.ts'
import { HorizonError, StoreUnavailableError } from './errors.ts'
import type { FaultHook } from './faults.ts'
import { createFileGuard } from './file-guard.ts'
import { createCommitGroup, type Round, type Transacted } from './group.ts'
import { type PlannedCommit, planRound } from './plan.ts'
import { createRecent } from './recent.ts'
import { openSqliteFile, sqliteCode } from './sqlite-file.ts'
import type { CommitOutcome, Position, Selection, Store, Version } from './store.ts'
import { afterEveryKey, keyRange, resumeFrom, versionFrom, versionWithoutRow } from './stored.ts'

export interface SqliteDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly faultPoint?: FaultHook
}

/** A long read or write gives other tasks their turn after this many rows. */
const rowsPerTurn = 500
const writesPerTurn = 200

/** SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL */
const diskCodes: ReadonlySet<number | undefined> = new Set([8, 10, 13])

/** What a transaction has come to so far. */
interface Next {
  head: Position
  mark: Position
  rows: number
  readonly written: {
    readonly revision: number
    readonly versions: readonly Version[]
    readonly contentLength: number
  }[]
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/**
 * The store in one SQLite file. Rows stay in the file and are read by demand; in memory are only the head, the mark, the
 * horizon and what the newest commits wrote. Throws StoreOpenError if the file cannot be opened, is not ours, or has another owner.
 */
export async function openSqliteStore(
  deps: SqliteDeps,
  options: { readonly path: string; readonly horizonRevisions?: number },
): Promise<Store> {
  const horizonRevisions = options.horizonRevisions ?? 20_000
  const database = openSqliteFile(deps, options.path)
  const prepare = (sql: string) => database.prepare(sql)
  const meta = (name: string) => prepare('SELECT value FROM meta WHERE name = ?').get(name)?.['value']
  const id = String(meta('store'))
  let incarnation = Number(meta('incarnation'))
  let horizon = Number(meta('horizon'))

  const columns =
    'v.key, v.revision, v.state, v.incarnation, v.origin_revision, v.created_at_ms, v.modified_at_ms, v.labels, v.spec, v.declared'
  const isNewest =
    'NOT EXISTS (SELECT 1 FROM versions n WHERE n.key = v.key AND n.revision > v.revision AND n.revision <= ?1)'
  const statements = {
    lastRecord: prepare('SELECT revision, commit_id, mark FROM records ORDER BY revision DESC LIMIT 1'),
    record: prepare('SELECT revision, commit_id FROM records WHERE revision = ?'),
    records: prepare('SELECT * FROM records WHERE revision > ?1 AND revision <= ?3 ORDER BY revision LIMIT ?2'),
    addRecord: prepare('INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)'),
    moveMark: prepare('UPDATE records SET mark = ?2 WHERE revision = ?1'),
    newest: prepare(
      `SELECT ${columns} FROM versions v WHERE v.key = ?1 AND v.revision <= ?2 ORDER BY v.revision DESC LIMIT 1`,
    ),
    history: prepare(
      `SELECT ${columns} FROM versions v WHERE v.key = ?1 AND v.revision <= ?2 ORDER BY v.revision DESC`,
    ),
    newestStamp: prepare(
      `SELECT v.revision, v.state, v.incarnation, v.origin_revision, v.created_at_ms, v.modified_at_ms
       FROM versions v WHERE v.key = ?1 ORDER BY v.revision DESC LIMIT 1`,
    ),
    addVersion: prepare('INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    changes: prepare(
      `SELECT ${columns} FROM versions v WHERE (v.revision, v.key) > (?2, ?3) AND v.revision <= ?1 AND ${isNewest}
       ORDER BY v.revision, v.key LIMIT ?4`,
    ),
    // The index alone says which are of the origin: the rows of all others are not read.
    changesOf: prepare(
      `SELECT ${columns} FROM (SELECT revision, key FROM versions INDEXED BY versions_by_revision
         WHERE (revision, key) > (?2, ?3) AND revision <= ?1 AND key > ?5 AND key < ?6 ORDER BY revision, key) k
       CROSS JOIN versions v WHERE v.key = k.key AND v.revision = k.revision AND ${isNewest}
       ORDER BY k.revision, k.key LIMIT ?4`,
    ),
    scan: prepare(
      `SELECT ${columns} FROM versions v WHERE v.key > ?2 AND v.key < ?3 AND v.revision <= ?1 AND v.state = 'live'
       AND (?4 IS NULL OR v.kind = ?4) AND (?5 IS NULL OR v.mesh = ?5) AND ${isNewest} ORDER BY v.key LIMIT ?6`,
    ),
    firstKey: prepare('SELECT key FROM versions WHERE key >= ?1 ORDER BY key LIMIT 1'),
    dropSuperseded: prepare(
      `DELETE FROM versions WHERE (key, revision) IN (
         SELECT o.key, o.revision FROM versions n JOIN versions o ON o.key = n.key AND o.revision < n.revision
         WHERE n.revision > ?1 AND n.revision <= ?2)`,
    ),
    dropRemoved: prepare("DELETE FROM versions WHERE revision > ?1 AND revision <= ?2 AND state <> 'live'"),
    dropRecords: prepare('DELETE FROM records WHERE revision < ?'),
    setHorizon: prepare("UPDATE meta SET value = ? WHERE name = 'horizon'"),
    setIncarnation: prepare("UPDATE meta SET value = ? WHERE name = 'incarnation'"),
    notes: prepare('SELECT name, value FROM notes WHERE name >= ?1 AND name < ?2 ORDER BY name'),
    putNote: prepare('INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value'),
    dropNote: prepare('DELETE FROM notes WHERE name = ?'),
  }

  const last = statements.lastRecord.get()
  let head: Position = { store: id, revision: Number(last?.['revision']), commitId: String(last?.['commit_id']) }
  let mark = positionAt(Number(last?.['mark'])) ?? head
  const recent = createRecent(head.revision)
  const files = createFileGuard(deps, options.path)
  const group = createCommitGroup((run) => setImmediate(run), transact)

  function positionAt(revision: number): Position | undefined {
    const record = statements.record.get(revision)
    return record && { store: id, revision, commitId: String(record['commit_id']) }
  }

  /**
   * Where rows of a selection lie, in the order of keys. A kind of all origins is a range of each: an index of kinds would cost every
   * row that is written.
   */
  function* rangesOf(selection: Selection): Generator<ReturnType<typeof keyRange>> {
    if (selection.origin !== undefined || selection.kind === undefined) return yield keyRange(selection)
    let from = ''
    for (;;) {
      const key = statements.firstKey.get(from)?.['key']
      if (key === undefined) return
      const { origin } = parseKeyText(String(key))
      yield keyRange({ ...selection, origin })
      from = keyRange({ origin }).below
    }
  }

  /**
   * One transaction for the group. A long one gives other tasks their turn in between: what they read is bounded by the head
   * and the mark, which move at its end.
   */
  async function transact(rounds: readonly Round[]): Promise<Transacted> {
    const before = { head, mark }
    const next: Next = { head, mark, rows: 0, written: [] }
    try {
      files.requireSame()
      database.exec('BEGIN IMMEDIATE')
      deps.faultPoint?.('begin')
      const outcomes: CommitOutcome[] = []
      for (const round of rounds) outcomes.push(await write(round, next))
      deps.faultPoint?.('before-commit')
      database.exec('COMMIT')
      head = next.head
      mark = next.mark
      for (const { revision, versions, contentLength } of next.written) recent.add(revision, versions, contentLength)
      deps.faultPoint?.('after-commit')
      files.requireSame()
      if (head.revision - horizon > horizonRevisions * 1.25) prune()
      return { outcomes, newMark: mark.revision !== before.mark.revision }
    } catch (cause) {
      if (database.isTransaction) database.exec('ROLLBACK')
      throw writeError(cause)
    }
  }

  /** A disk that is full, has gone read-only or fails is a matter of the machine, which people can mend while we run. */
  function writeError(cause: unknown): Error {
    if (cause instanceof StoreUnavailableError) return cause
    const message = `cannot write store ${options.path}: ${messageOf(cause)}`
    return diskCodes.has(sqliteCode(cause))
      ? new StoreUnavailableError(message, { cause })
      : new Error(message, { cause })
  }

  async function write(round: Round, next: Next): Promise<CommitOutcome> {
    const { random } = deps
    const context = { newest, incarnation, head: next.head, nowMs: deps.clock.wallMs(), random }
    // The whole round is planned before anything of it is written: a refused part leaves nothing to undo.
    const { outcome, commits } = planRound(round.parts, context)
    if (!outcome.ok) return outcome
    const mark = round.unmarked ? next.mark : outcome.position
    for (const commit of commits) {
      // Each record has the mark of a reader who opens the store behind it; only the last one of a round moves it.
      const isLast = commit.position.revision === outcome.position.revision
      await writeCommit(commit, isLast ? mark : next.mark, next)
    }
    if (commits.length === 0 && mark.revision !== next.mark.revision)
      statements.moveMark.run(mark.revision, mark.revision)
    next.head = outcome.position
    next.mark = mark
    return outcome
  }

  async function writeCommit(
    { position, subject, intent, atMs, versions }: PlannedCommit,
    mark: Position,
    next: Next,
  ): Promise<void> {
    let contentLength = 0
    for (const version of versions) {
      deps.faultPoint?.('version')
      contentLength += addVersion(version)
      next.rows += 1
      if (next.rows % writesPerTurn === 0) await nextTurn()
    }
    const { revision, commitId } = position
    next.written.push({ revision, versions, contentLength })
    statements.addRecord.run(revision, commitId, subject, intent, atMs, versions.length, mark.revision)
  }

  /** Returns the length of its content. */
  function addVersion({ key, revision, state, stamp, row, declared }: Version): number {
    const { incarnation, originRevision, createdAtMs, modifiedAtMs } = stamp
    const labels = row ? JSON.stringify(row.labels) : null
    const spec = row ? JSON.stringify(row.spec) : null
    const values: SQLInputValue[] = [keyText(key), revision, key.kind, key.mesh, state, incarnation, originRevision]
    statements.addVersion.run(...values, createdAtMs, modifiedAtMs, labels, spec, declared ? 1 : null)
    return (labels?.length ?? 0) + (spec?.length ?? 0)
  }

  /** The newest version, that of an unfinished transaction included. */
  function newest(text: string, withRow: boolean): Version | undefined {
    if (withRow) {
      const found = statements.newest.get(text, Number.MAX_SAFE_INTEGER)
      return found && versionFrom(found)
    }
    const found = statements.newestStamp.get(text)
    return found && versionWithoutRow(text, found)
  }

  /** Only what was superseded since the last time is looked at, so the cost follows the changes. */
  function prune(): void {
    const next = Math.min(mark.revision, head.revision - horizonRevisions)
    if (next <= horizon) return
    try {
      database.exec('BEGIN IMMEDIATE')
      statements.dropSuperseded.run(horizon, next)
      statements.dropRemoved.run(horizon, next)
      statements.dropRecords.run(next)
      statements.setHorizon.run(next)
      database.exec('COMMIT')
      horizon = next
    } catch (cause) {
      if (database.isTransaction) database.exec('ROLLBACK')
      deps.log.error(
        { path: options.path, err: cause },
        'cannot drop old versions from the store; trying again after later commits',
      )
    }
  }

  return {
    id,
    get incarnation() {
      return incarnation
    },
    raiseIncarnation: (atLeast) =>
      group.alone(async () => {
        if (atLeast <= incarnation) return
        files.requireSame()
        statements.setIncarnation.run(atLeast)
        incarnation = atLeast
      }),
    notes: {
      put: (entries) =>
        group.alone(async () => {
          // One transaction: each by itself would wait for the disk.
          database.exec('BEGIN IMMEDIATE')
          try {
            for (const { name, value } of entries) {
              if (value) statements.putNote.run(name, JSON.stringify(value))
              else statements.dropNote.run(name)
            }
            database.exec('COMMIT')
          } finally {
            if (database.isTransaction) database.exec('ROLLBACK')
          }
        }),
      async read(prefix) {
        const found = statements.notes.all(prefix, prefix + afterEveryKey)
        // Each was written by `put`, as the JSON text of an object.
        return new Map(found.map(({ name, value }) => [String(name), JSON.parse(String(value)) as JsonObject]))
      },
    },
    fault: () => files.fault(),
    head: async () => head,
    mark: async () => mark,
    commitRound: group.commitRound,
    commit: group.commit,
    async get(key) {
      const found = statements.newest.get(keyText(key), head.revision)
      return found && versionFrom(found)
    },
    async scan(selection, { at = mark.revision, after = '', limit = Number.POSITIVE_INFINITY } = {}) {
      const rows: Row[] = []
      for (const { from, below } of rangesOf(selection)) {
        let resume = after > from ? after : from
        for (;;) {
          if (at < horizon) throw new HorizonError(at, horizon)
          const want = Math.min(rowsPerTurn, limit - rows.length)
          const page = statements.scan.all(at, resume, below, selection.kind ?? null, selection.mesh ?? null, want)
          for (const found of page) {
            const { row } = versionFrom(found)
            if (row) rows.push(row)
          }
          if (rows.length >= limit) return rows
          if (page.length < want) break
          resume = String(page.at(-1)?.['key'])
          await nextTurn()
        }
      }
      return rows
    },
    async changesSince(after, through, { limit = rowsPerTurn, resume, origin } = {}) {
      if (after < horizon) throw new HorizonError(after, horizon)
      const options = {
        limit,
        ...(resume === undefined ? {} : { resume }),
        ...(origin === undefined ? {} : { origin }),
      }
      const known = recent.changesSince(after, through, options)
      if (known) return known
      const page = [through, ...resumeFrom(after, resume), limit]
      const { from, below } = keyRange(origin === undefined ? {} : { origin })
      const found =
        origin === undefined ? statements.changes.all(...page) : statements.changesOf.all(...page, from, below)
      const versions = found.map(versionFrom)
      const end = versions.at(-1)
      return versions.length === limit && end ? { versions, next: `${end.revision}/${keyText(end.key)}` } : { versions }
    },
    history: async (key) => statements.history.all(keyText(key), head.revision).map(versionFrom),
    async records({ after, limit }) {
      return statements.records.all(after, limit, head.revision).map((record) => ({
        position: { store: id, revision: Number(record['revision']), commitId: String(record['commit_id']) },
        subject: String(record['subject']),
        intent: String(record['intent']),
        atMs: Number(record['at_ms']),
        rows: Number(record['rows']),
      }))
    },
    async standing(position) {
      if (position.store !== id || position.revision > head.revision) return 'diverged'
      if (position.revision < horizon) return 'behind'
      return positionAt(position.revision)?.commitId === position.commitId ? 'valid' : 'diverged'
    },
    onMark: (listener) => group.onMark(listener),
    async close() {
      await group.close()
      files[Symbol.dispose]()
      if (database.isOpen) database.close()
    },
  }
}
