import type { DatabaseSync } from 'node:sqlite'

export type SqliteStatements = ReturnType<typeof prepareStatements>

/** The statements of a store in a SQLite file. */
export function prepareStatements(database: DatabaseSync) {
  const prepare = (sql: string) => database.prepare(sql)
  const columns =
    'v.key, v.revision, v.state, v.incarnation, v.origin_revision, v.created_at_ms, v.modified_at_ms, v.labels, v.spec, v.declared'
  const isNewest =
    'NOT EXISTS (SELECT 1 FROM versions n WHERE n.key = v.key AND n.revision > v.revision AND n.revision <= ?1)'
  return {
    lastRecord: prepare('SELECT revision, commit_id, mark FROM records ORDER BY revision DESC LIMIT 1'),
    record: prepare('SELECT revision, commit_id FROM records WHERE revision = ?'),
    records: prepare(
      `SELECT r.*, t.traceparent FROM records r LEFT JOIN traces t ON t.revision = r.revision
       WHERE r.revision > ?1 AND r.revision <= ?3 ORDER BY r.revision LIMIT ?2`,
    ),
    addRecord: prepare('INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)'),
    addTrace: prepare('INSERT OR REPLACE INTO traces VALUES (?, ?)'),
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
    // The index alone selects the keys of the origin, so rows of other origins are not read.
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
    dropTraces: prepare('DELETE FROM traces WHERE revision < ?'),
    setHorizon: prepare("UPDATE meta SET value = ? WHERE name = 'horizon'"),
    setIncarnation: prepare("UPDATE meta SET value = ? WHERE name = 'incarnation'"),
    notes: prepare('SELECT name, value FROM notes WHERE name >= ?1 AND name < ?2 ORDER BY name'),
    putNote: prepare('INSERT INTO notes VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value'),
    dropNote: prepare('DELETE FROM notes WHERE name = ?'),
  }
}
