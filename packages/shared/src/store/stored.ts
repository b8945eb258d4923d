import type { JsonObject } from '../base/base.ts'
import { parseTraceparent } from '../env/trace.ts'
import { parseKeyText } from '../resource/resource.ts'
import type { CommitRecord, Selection, Version } from './store.ts'

/** Greater than every key text, because no key contains this character. */
export const afterEveryKey = '\u{10ffff}'

/**
 * The keys of a selection, as an open interval of key texts. The kind counts only with an origin, and the mesh with
 * both.
 */
export function keyRange({ origin, kind, mesh }: Selection): { readonly from: string; readonly below: string } {
  if (origin === undefined) return { from: '', below: afterEveryKey }
  const prefix = kind === undefined ? origin : mesh === undefined ? `${origin}/${kind}` : `${origin}/${kind}/${mesh}`
  // "0" is the character after "/".
  return { from: `${prefix}/`, below: `${prefix}0` }
}

type Found = Readonly<Record<string, unknown>>

/** Reads a line of the versions table, which has the same columns in every database. */
export function versionFrom(found: Found): Version {
  const { key, revision, state, stamp } = versionWithoutRow(String(found['key']), found)
  if (state !== 'live') return { key, revision, state, stamp, ...(found['declared'] ? { declared: true } : {}) }
  // The store has written both as the JSON text of values of these types.
  const labels = JSON.parse(String(found['labels'])) as Record<string, string>
  const spec = JSON.parse(String(found['spec'])) as JsonObject
  return { key, revision, state: 'live', stamp, row: { key, stamp, labels, spec } }
}

/** Reads a line of the records table. */
export function recordFrom(store: string, found: Found): CommitRecord {
  const traceparent = parseTraceparent(found['traceparent'])
  return {
    position: { store, revision: Number(found['revision']), commitId: String(found['commit_id']) },
    subject: String(found['subject']),
    intent: String(found['intent']),
    atMs: Number(found['at_ms']),
    rows: Number(found['rows']),
    ...(traceparent ? { traceparent } : {}),
  }
}

/** A page of changes resumes after this revision and key. */
export function resumeFrom(after: number, resume: string | undefined): readonly [revision: number, text: string] {
  if (resume === undefined) return [after, afterEveryKey]
  const cut = resume.indexOf('/')
  return [Number(resume.slice(0, cut)), resume.slice(cut + 1)]
}

/** The parts of a line of the versions table that decide whether a received row is newer. */
export function versionWithoutRow(text: string, found: Found): Version {
  const { state } = found
  return {
    key: parseKeyText(text),
    revision: Number(found['revision']),
    state: state === 'deleted' || state === 'forgotten' ? state : 'live',
    stamp: {
      incarnation: Number(found['incarnation']),
      originRevision: Number(found['origin_revision']),
      createdAtMs: Number(found['created_at_ms']),
      modifiedAtMs: Number(found['modified_at_ms']),
    },
  }
}
