import { keyText } from '../resource/resource.ts'
import type { CommitRecord, Selection, Version } from './store.ts'

const columns =
  'v.key, v.revision, v.state, v.incarnation, v.origin_revision, v.created_at_ms, v.modified_at_ms, v.labels, v.spec, v.declared'

/**
 * The statements of a store in one schema. A read at a revision gets the horizon in the same statement and thus from
 * the same snapshot, because another process may move it at any time. A page is read by walking an index in its order
 * and looking up each key. The settings of the connections (`planner`) enforce this on tables without statistics.
 */
export function statementsOf(schema: string) {
  const versions = `${schema}.versions`
  /** OFFSET 0 prevents a join of the whole table for one page. */
  const isNewest = (through: string) =>
    `NOT EXISTS (SELECT 1 FROM ${versions} n WHERE n.key = v.key AND n.revision > v.revision AND n.revision <= ${through}
      OFFSET 0)`
  const seen = (column: string) => `(SELECT ${column} FROM ${schema}.head)`
  const insertVersions = `INSERT INTO ${versions} SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[],
    $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::boolean[])`
  const lockHead = `SELECT * FROM ${schema}.head FOR UPDATE`
  return {
    head: { name: 'head', text: `SELECT * FROM ${schema}.head` },
    /** Each later statement sees everything that is committed when it starts, thus everything up to the locked head. */
    begin: { text: `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; ${lockHead}` },
    commit: { text: 'COMMIT' },
    newestOf: {
      name: 'newest-of',
      text: `SELECT v.* FROM unnest($1::text[]) AS wanted(key) CROSS JOIN LATERAL
        (SELECT ${columns} FROM ${versions} v WHERE v.key = wanted.key ORDER BY v.revision DESC LIMIT 1) v`,
    },
    addVersions: { name: 'add-versions', text: insertVersions },
    /** The last versions, the records and the head: one round trip for most commits. */
    addAll: {
      name: 'add-all',
      text: `WITH added AS (${insertVersions}), recorded AS (
          INSERT INTO ${schema}.records
          SELECT * FROM unnest($13::bigint[], $14::text[], $15::text[], $16::text[], $17::bigint[], $18::bigint[],
            $19::text[]))
        UPDATE ${schema}.head SET revision = $20, commit_id = $21, mark = $22, mark_commit_id = $23`,
    },
    newest: {
      name: 'newest',
      text: `SELECT ${columns} FROM ${versions} v WHERE v.key = $1 ORDER BY v.revision DESC LIMIT 1`,
    },
    history: { text: `SELECT ${columns} FROM ${versions} v WHERE v.key = $1 ORDER BY v.revision DESC` },
    changes: {
      name: 'changes',
      text: `SELECT ${columns}, ${seen('horizon')} AS horizon FROM ${versions} v
        WHERE (v.revision, v.key) > ($2, $3) AND v.revision <= $1 AND ${isNewest('$1')}
        ORDER BY v.revision, v.key LIMIT $4`,
    },
    /** The changes of one origin. */
    changesOf: {
      name: 'changes-of',
      text: `SELECT ${columns}, ${seen('horizon')} AS horizon FROM ${versions} v
        WHERE (v.revision, v.key) > ($2, $3) AND v.revision <= $1 AND v.key > $5 AND v.key < $6 AND ${isNewest('$1')}
        ORDER BY v.revision, v.key LIMIT $4`,
    },
    /** Contains only the conditions of the selection, so that the server can choose an index by them. */
    scan: ({ kind, mesh }: Selection, isFirst: boolean) => {
      const at = isFirst ? `coalesce($1::bigint, ${seen('mark')})` : '$1::bigint'
      return {
        text: `SELECT ${columns}, ${seen('horizon')} AS horizon, ${at} AS at FROM ${versions} v
          WHERE v.key > $2 AND v.key < $3 AND v.state = 'live' AND v.revision <= ${at}
          AND ${kind === undefined ? '$5::text IS NULL' : 'v.kind = $5::text'}
          AND ${mesh === undefined ? '$6::text IS NULL' : 'v.mesh = $6::text'}
          AND ${isNewest(at)} ORDER BY v.key LIMIT $4::bigint`,
      }
    },
    records: {
      text: `SELECT * FROM ${schema}.records WHERE revision > $1 ORDER BY revision LIMIT $2`,
    },
    standing: {
      name: 'standing',
      text: `SELECT h.*, r.commit_id AS asked_id FROM ${schema}.head h LEFT JOIN ${schema}.records r ON r.revision = $1`,
    },
    raiseIncarnation: {
      text: `UPDATE ${schema}.head SET incarnation = greatest(incarnation, $1::bigint) RETURNING *`,
    },
    notes: { text: `SELECT name, value FROM ${schema}.notes WHERE name >= $1 AND name < $2 ORDER BY name` },
    putNotes: {
      text: `WITH dropped AS (DELETE FROM ${schema}.notes WHERE name = ANY ($3::text[]))
        INSERT INTO ${schema}.notes SELECT * FROM unnest($1::text[], $2::text[])
        ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    },
    /** One process prunes at a time. Commits continue and wait only while the horizon is written. */
    lockPrune: {
      text: `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = '60s';
        SELECT h.*, pg_try_advisory_xact_lock(hashtext('zonemesh prune'), hashtext('${schema}')) AS locked
        FROM ${schema}.head h`,
    },
    dropSuperseded: {
      text: `DELETE FROM ${versions} o USING ${versions} n WHERE o.key = n.key AND o.revision < n.revision
        AND n.revision > $1 AND n.revision <= $2`,
    },
    dropRemoved: { text: `DELETE FROM ${versions} WHERE revision > $1 AND revision <= $2 AND state <> 'live'` },
    dropRecords: { text: `DELETE FROM ${schema}.records WHERE revision < $1` },
    setHorizon: { text: `UPDATE ${schema}.head SET horizon = $1` },
  }
}

/** Versions as the columns of their table, $1 to $12. */
export const versionColumns = (versions: readonly Version[]): readonly (readonly unknown[])[] => [
  versions.map(({ key }) => keyText(key)),
  versions.map(({ revision }) => revision),
  versions.map(({ key }) => key.kind),
  versions.map(({ key }) => key.mesh),
  versions.map(({ state }) => state),
  versions.map(({ stamp }) => stamp.incarnation),
  versions.map(({ stamp }) => stamp.originRevision),
  versions.map(({ stamp }) => stamp.createdAtMs),
  versions.map(({ stamp }) => stamp.modifiedAtMs),
  versions.map(({ row }) => (row ? JSON.stringify(row.labels) : null)),
  versions.map(({ row }) => (row ? JSON.stringify(row.spec) : null)),
  versions.map(({ declared }) => declared ?? null),
]

/** PostgreSQL cannot store the zero character in a text. */
const keepable = (text: string) => text.replaceAll('\0', '')

/** Records as the columns of their table, $13 to $19. */
export const recordColumns = (records: readonly CommitRecord[]): readonly (readonly unknown[])[] => [
  records.map(({ position }) => position.revision),
  records.map(({ position }) => position.commitId),
  records.map(({ subject }) => keepable(subject)),
  records.map(({ intent }) => keepable(intent)),
  records.map(({ atMs }) => atMs),
  records.map(({ rows }) => rows),
  records.map(({ traceparent }) => traceparent ?? null),
]
