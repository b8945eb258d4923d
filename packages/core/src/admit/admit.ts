import { err, type JsonObject, ok, type Result, toJson } from '@zonemesh/shared/base/base.ts'
import { isSubdomain, meshLabel } from '../kinds/common.ts'
import { type CheckContext, type Kind, nearest, type Violation, violationsOf } from '../kinds/kind.ts'
import { unservedReason } from '../kinds/unserved.ts'
import { wording } from '../kinds/wording.ts'
import { findKind, publicKinds } from '../registry.ts'
import { foreignReason } from './foreign.ts'

/** A document that may be stored. */
export interface Admitted {
  readonly kind: Kind
  readonly mesh: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly spec: JsonObject
  /** Fields that are stored but not served yet, one sentence for each. */
  readonly warnings: readonly string[]
}

/** Why a document is rejected. `detail` is "Resource is not valid" if `violations` holds the reasons. */
export interface Refusal {
  readonly detail: string
  readonly violations: readonly Violation[]
}

const envelopeKeys = new Set([
  'type',
  'mesh',
  'name',
  'labels',
  'creationTime',
  'modificationTime',
  'kri',
  'snis',
  'status',
  'spec',
])
const flatEnvelopeKeys = new Set(['type', 'mesh', 'name', 'labels', 'creationTime', 'modificationTime', 'kri'])

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

const refuse = (...violations: Violation[]): Refusal => ({ detail: 'Resource is not valid', violations })

/** Converts the Kubernetes form of a resource to the universal form. Returns any other document unchanged. */
function fromKubernetes(document: Record<string, unknown>): Record<string, unknown> {
  const { apiVersion, kind, metadata, spec, mesh } = document
  if (
    typeof apiVersion !== 'string' ||
    !apiVersion.startsWith('kuma.io/') ||
    typeof kind !== 'string' ||
    !isObject(metadata)
  )
    return document
  const labels = isObject(metadata['labels']) ? metadata['labels'] : undefined
  const known = findKind(kind)
  const meshName = mesh ?? labels?.[meshLabel] ?? 'default'
  return {
    type: kind,
    ...(known?.scope === 'mesh' ? { mesh: meshName } : {}),
    name: metadata['name'],
    ...(labels ? { labels } : {}),
    ...(known?.layout === 'nested' ? { spec } : isObject(spec) ? spec : {}),
  }
}

function checkLabels(labels: unknown): Violation[] {
  if (labels === undefined || labels === null) return []
  if (!isObject(labels)) return [{ field: 'labels', reason: 'expected a map of texts' }]
  return Object.entries(labels).flatMap(([key, value]) => {
    const field = `labels["${key}"]`
    if (!/^([a-z0-9A-Z]([-a-z0-9A-Z.]*[a-z0-9A-Z])?\/)?[a-z0-9A-Z]([-\w.]{0,61}[a-z0-9A-Z])?$/.test(key))
      return [{ field, reason: 'not a valid label key' }]
    if (typeof value !== 'string') return [{ field, reason: 'expected a text' }]
    return /^([a-z0-9A-Z]([-\w.]{0,61}[a-z0-9A-Z])?)?$/.test(value)
      ? []
      : [{ field, reason: 'not a valid label value' }]
  })
}

function checkName(field: string, value: unknown): Violation[] {
  if (value === undefined || value === '') return [{ field, reason: 'cannot be empty' }]
  if (typeof value !== 'string') return [{ field, reason: `expected a text, found ${typeof value}` }]
  return isSubdomain(value)
    ? []
    : [
        {
          field,
          reason:
            "invalid characters: must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        },
      ]
}

function kindOf(document: Record<string, unknown>): Result<Kind, Refusal> {
  const { type } = document
  if (typeof type !== 'string' || type === '') {
    return err(refuse({ field: 'type', reason: 'cannot be empty', choices: publicKinds.map((kind) => kind.name) }))
  }
  const kind = findKind(type)
  if (kind && !kind.internal) return ok(kind)
  const choices = publicKinds.map((one) => one.name)
  const candidate = nearest(type, choices)
  const hint = candidate ? `; did you mean "${candidate}"?` : ''
  const reason = unservedReason(type) ?? `unknown kind "${type}"${hint}`
  return err({ detail: reason, violations: [{ field: 'type', reason, choices }] })
}

/**
 * Validates one document as a user writes it: first its shape, then the rules between fields. Pure: the plane checks
 * conditions on other resources, such as whether the mesh exists.
 */
export function admit(input: unknown): Result<Admitted, Refusal> {
  if (!isObject(input)) return err({ detail: 'expected an object with a "type"', violations: [] })
  const foreign = foreignReason(input, (kind) => findKind(kind) !== undefined || unservedReason(kind) !== undefined)
  if (foreign !== undefined) return err({ detail: foreign, violations: [] })
  const document = fromKubernetes(input)
  const found = kindOf(document)
  if (!found.ok) return found
  const kind = found.value
  const { name, labels } = document
  const mesh = kind.scope === 'mesh' ? (document['mesh'] ?? (kind.layout === 'nested' ? 'default' : undefined)) : ''
  const violations = [
    ...checkName('name', name),
    ...(kind.scope === 'mesh' ? checkName('mesh', mesh) : []),
    ...checkLabels(labels),
  ]

  const nested = kind.layout === 'nested'
  const known = nested ? envelopeKeys : flatEnvelopeKeys
  const rest = Object.fromEntries(Object.entries(document).filter(([key]) => !known.has(key)))
  if (nested) {
    for (const key of Object.keys(rest))
      violations.push({ field: key, reason: 'unknown field; fields of this kind stand below "spec"' })
  }
  const parsed = kind.schema.safeParse(nested ? (document['spec'] ?? {}) : rest, { error: wording })
  if (!parsed.success) return err(refuse(...violations, ...violationsOf(nested ? 'spec' : '', parsed.error.issues)))
  const context: CheckContext = { name: String(name), mesh: String(mesh) }
  // The schema of this kind has just accepted the value, so it has the type that the rules of the kind expect.
  const spec = parsed.data as never
  violations.push(...kind.check(spec, context))
  if (violations.length > 0) return err(refuse(...violations))
  return ok({
    kind,
    mesh: String(mesh),
    name: String(name),
    labels: Object.fromEntries(
      Object.entries(isObject(labels) ? labels : {}).map(([key, value]) => [key, String(value)]),
    ),
    // Zod may leave absent optional fields as undefined, which JSON cannot represent.
    spec: toJson(spec),
    warnings: kind.unserved(spec),
  })
}

/** The refusal as text, one line per violation. */
export function refusalLines(refusal: Refusal): string[] {
  if (refusal.violations.length === 0) return [refusal.detail]
  return refusal.violations.map(
    ({ field, reason, choices }) => `${field}: ${reason}${choices?.length ? ` (one of: ${choices.join(', ')})` : ''}`,
  )
}
