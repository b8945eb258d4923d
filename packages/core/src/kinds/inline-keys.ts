import { type Json, type JsonObject, shortHash } from '@zonemesh/shared/base/base.ts'
import { inlinePem } from './mesh-gateway-spec.ts'

/** A spec without private keys, and the removed texts by the name of the Secret that the spec now refers to. */
export interface WithoutKeys {
  readonly spec: JsonObject
  readonly secrets: ReadonlyMap<string, string>
}

/** Marks a Secret that a plane created from inline data of another resource. */
export const inlineLabel = 'zonemesh.io/inline'

/** The paths of data sources in specs, by kind; `*` stands for each item of a list. */
const sourcesByKind: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Mesh: [
    ['mtls', 'backends', '*', 'conf', 'cert'],
    ['mtls', 'backends', '*', 'conf', 'key'],
  ],
  MeshGateway: [['conf', 'listeners', '*', 'tls', 'certificates', '*']],
}

/**
 * Moves inline private keys of a Mesh or MeshGateway into Secrets of its mesh, so that they are stored sealed and are
 * never synced. The name of such a Secret is derived from its text, so the same document gives the same spec. The spec
 * may have any shape.
 */
export function withoutInlineKeys(kind: string, mesh: string, spec: JsonObject): WithoutKeys {
  const secrets = new Map<string, string>()
  const move = (source: JsonObject): JsonObject => {
    const text = textOf(source)
    if (text === undefined || !text.includes('PRIVATE KEY')) return source
    const name = `inline-${shortHash(`${mesh}\n${text}`)}`
    secrets.set(name, text)
    return { secret: name }
  }
  let found: Json = spec
  for (const path of sourcesByKind[kind] ?? []) found = mapAt(found, path, move)
  return { spec: secrets.size > 0 && isObject(found) ? found : spec, secrets }
}

/** Free-form parts of a spec keep the author's spelling, so both spellings are checked. */
function textOf(source: JsonObject): string | undefined {
  const { inline } = source
  const inlineString = source['inlineString'] ?? source['inline_string']
  return inlinePem({
    ...(typeof inline === 'string' ? { inline } : {}),
    ...(typeof inlineString === 'string' ? { inlineString } : {}),
  })
}

const isObject = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value)

/** A copy of the value in which the objects at the path are mapped. */
function mapAt(value: Json, [step, ...rest]: readonly string[], map: (found: JsonObject) => JsonObject): Json {
  if (step === undefined) return isObject(value) ? map(value) : value
  if (step === '*') return isList(value) ? value.map((one) => mapAt(one, rest, map)) : value
  const inner = isObject(value) ? value[step] : undefined
  return isObject(value) && inner !== undefined ? { ...value, [step]: mapAt(inner, rest, map) } : value
}
