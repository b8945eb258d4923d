import type { SQLInputValue } from 'node:sqlite'
import { messageOf } from '../base/base.ts'
import { keyText } from '../resource/resource.ts'
import { StoreUnavailableError } from './errors.ts'
import type { Round, Transacted } from './group.ts'
import { type PlannedCommit, planRound } from './plan.ts'
import { sqliteCode } from './sqlite-file.ts'
import { nextTurn, type OpenSqlite } from './sqlite-open.ts'
import type { SqliteStatements } from './sqlite-statements.ts'
import type { CommitOutcome, Position, Version } from './store.ts'
import { versionFrom, versionWithoutRow } from './stored.ts'

/** A long write lets other tasks run after this many rows. */
const writesPerTurn = 200

/** SQLITE_READONLY, SQLITE_IOERR, SQLITE_FULL */
const diskCodes: ReadonlySet<number | undefined> = new Set([8, 10, 13])

/** The state of an unfinished transaction. */
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

/**
 * Writes the group in one transaction. During a long one other tasks run. They see only the state before it, because
 * the head and the mark bound every read and move at its end.
 */
export async function transact(store: OpenSqlite, rounds: readonly Round[]): Promise<Transacted> {
  const { deps, database, files, recent } = store
  const before = store.mark
  const next: Next = { head: store.head, mark: store.mark, rows: 0, written: [] }
  try {
    files.requireSame()
    database.exec('BEGIN IMMEDIATE')
    deps.faultPoint?.('begin')
    const outcomes: CommitOutcome[] = []
    for (const round of rounds) outcomes.push(await write(store, round, next))
    deps.faultPoint?.('before-commit')
    database.exec('COMMIT')
    store.head = next.head
    store.mark = next.mark
    for (const { revision, versions, contentLength } of next.written) recent.add(revision, versions, contentLength)
    deps.faultPoint?.('after-commit')
    files.requireSame()
    if (store.head.revision - store.horizon > store.horizonRevisions * 1.25) prune(store)
    return { outcomes, newMark: store.mark.revision !== before.revision }
  } catch (cause) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw writeError(store, cause)
  }
}

/**
 * A full, read-only or failing disk makes the store unavailable: an operator can repair the disk while the process
 * runs.
 */
function writeError({ path }: OpenSqlite, cause: unknown): Error {
  if (cause instanceof StoreUnavailableError) return cause
  const message = `cannot write store ${path}: ${messageOf(cause)}`
  return diskCodes.has(sqliteCode(cause))
    ? new StoreUnavailableError(message, { cause })
    : new Error(message, { cause })
}

async function write(store: OpenSqlite, round: Round, next: Next): Promise<CommitOutcome> {
  const { deps, incarnation, statements } = store
  const planned = {
    newest: (text: string, withRow: boolean) => newest(store, text, withRow),
    ...{ incarnation, head: next.head, expectedHead: round.head, nowMs: deps.clock.wallMs(), random: deps.random },
  }
  // The whole round is planned before its first write, so a refused part leaves nothing to undo.
  const { outcome, commits } = planRound(round.parts, planned)
  if (!outcome.ok) return outcome
  const mark = round.unmarked ? next.mark : outcome.position
  for (const commit of commits) {
    // Each record holds the mark that is valid if the store is opened with it as the last record. Only the last part
    // moves it.
    const isLast = commit.position.revision === outcome.position.revision
    await writeCommit(store, commit, isLast ? mark : next.mark, next)
  }
  if (commits.length === 0 && mark.revision !== next.mark.revision)
    statements.moveMark.run(mark.revision, mark.revision)
  next.head = outcome.position
  next.mark = mark
  return outcome
}

async function writeCommit(
  { deps, statements }: OpenSqlite,
  { position, subject, intent, atMs, versions, traceparent }: PlannedCommit,
  mark: Position,
  next: Next,
): Promise<void> {
  let contentLength = 0
  for (const version of versions) {
    deps.faultPoint?.('version')
    contentLength += addVersion(statements, version)
    next.rows += 1
    if (next.rows % writesPerTurn === 0) await nextTurn()
  }
  const { revision, commitId } = position
  next.written.push({ revision, versions, contentLength })
  statements.addRecord.run(revision, commitId, subject, intent, atMs, versions.length, mark.revision)
  if (traceparent) statements.addTrace.run(revision, traceparent)
}

/** Inserts a version and returns the length of its content. */
function addVersion(statements: SqliteStatements, { key, revision, state, stamp, row, declared }: Version): number {
  const { incarnation, originRevision, createdAtMs, modifiedAtMs } = stamp
  const labels = row ? JSON.stringify(row.labels) : null
  const spec = row ? JSON.stringify(row.spec) : null
  const values: SQLInputValue[] = [keyText(key), revision, key.kind, key.mesh, state, incarnation, originRevision]
  statements.addVersion.run(...values, createdAtMs, modifiedAtMs, labels, spec, declared ? 1 : null)
  return (labels?.length ?? 0) + (spec?.length ?? 0)
}

/** The newest version of a key, including an uncommitted one of the current transaction. */
function newest({ statements }: OpenSqlite, text: string, withRow: boolean): Version | undefined {
  if (withRow) {
    const found = statements.newest.get(text, Number.MAX_SAFE_INTEGER)
    return found && versionFrom(found)
  }
  const found = statements.newestStamp.get(text)
  return found && versionWithoutRow(text, found)
}

/**
 * Drops old versions. It reads only versions above the former horizon, so its cost depends on the number of changes.
 */
function prune(store: OpenSqlite): void {
  const { deps, database, statements, path, head, mark, horizon } = store
  const next = Math.min(mark.revision, head.revision - store.horizonRevisions)
  if (next <= horizon) return
  try {
    database.exec('BEGIN IMMEDIATE')
    statements.dropSuperseded.run(horizon, next)
    statements.dropRemoved.run(horizon, next)
    statements.dropRecords.run(next)
    statements.dropTraces.run(next)
    statements.setHorizon.run(next)
    database.exec('COMMIT')
    store.horizon = next
  } catch (cause) {
    if (database.isTransaction) database.exec('ROLLBACK')
    deps.log.error({ path, err: cause }, 'cannot drop old versions from the store; trying again after later commits')
  }
}
