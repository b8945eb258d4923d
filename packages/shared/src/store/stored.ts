import type { JsonObject } from '../base/base.ts'
import { parseKeyText } from '../resource/resource.ts'
import type { Selection, Version } from './store.ts'

/** Greater than every key text: keys are names, and none has this character. */
export const afterEveryKey = '\u{10ffff}'

/** The keys of a selection, as an open interval of key texts. */
export function keyRange({ origin, kind, mesh }: Selection): { readonly from: string; readonly below: string } {
  if (origin === undefined) return { from: '', below: afterEveryKey }
  const prefix = kind === undefined ? origin : mesh === undefined ? `${origin}/${kind}` : `${origin}/${kind}/${mesh}`
  // "0" is the character after "/".
  return { from: `${prefix}/`, below: `${prefix}0` }
}

/** A line of the versions table, which has the same columns in every database. */
export function versionFrom(found: Readonly<Record<string, unknown>>): Version {
  const key = parseKeyText(String(found['key']))
  const stamp = {
    incarnation: Number(found['incarnation']),
    originRevision: Number(found['origin_revision']),
    createdAtMs: Number(found['created_at_ms']),
    modifiedAtMs: Number(found['modified_at_ms']),
  }
  const revision = Number(found['revision'])
  if (found['state'] === 'deleted' || found['state'] === 'forgotten')
    return { key, revision, state: found['state'], stamp, ...(found['declared'] ? { declared: true } : {}) }
  // Both were written by the store, as the JSON text of values of these types.
  const labels = JSON.parse(String(found['labels'])) as Record<string, string>
  const spec = JSON.parse(String(found['spec'])) as JsonObject
  return { key, revision, state: 'live', stamp, row: { key, stamp, labels, spec } }
}

/** Where a page of changes resumes: behind this revision and key. */
export function resumeFrom(after: number, resume: string | undefined): readonly [revision: number, text: string] {
  if (resume === undefined) return [after, afterEveryKey]
  const cut = resume.indexOf('/')
  return [Number(resume.slice(0, cut)), resume.slice(cut + 1)]
}
