import { type Json, type JsonObject, shortHash } from '@zonemesh/shared/base/base.ts'
import { inlinePem } from './mesh-gateway-spec.ts'

/** A spec without private keys, and the texts that it names instead, by the name of the Secret that each belongs into. */
export interface WithoutKeys {
  readonly spec: JsonObject
  readonly secrets: ReadonlyMap<string, string>
}

/** On a Secret that a plane made of what stood inline in another resource. */
export const inlineLabel = 'zonemesh.io/inline'

/** Where data sources stand in the specs of kinds; `*` is each item of a list. */
const sourcesByKind: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Mesh: [
    ['mtls', 'backends', '*', 'conf', 'cert'],
    ['mtls', 'backends', '*', 'conf', 'key'],
  ],
  MeshGateway: [['conf', 'listeners', '*', 'tls', 'certificates', '*']],
}

/**
 * Moves private keys that stand inline in a Mesh or MeshGateway into secrets of its mesh, so that they lie sealed and travel nowhere.
 * The name of such a secret follows from its text: the same document gives the same spec. A spec of any shape is taken.
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

/** A free-form part of a spec keeps the spelling of whoever wrote it. */
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

/** The same value, with the objects at the path mapped. */
function mapAt(value: Json, [step, ...rest]: readonly string[], map: (found: JsonObject) => JsonObject): Json {
  if (step === undefined) return isObject(value) ? map(value) : value
  if (step === '*') return isList(value) ? value.map((one) => mapAt(one, rest, map)) : value
  const inner = isObject(value) ? value[step] : undefined
  return isObject(value) && inner !== undefined ? { ...value, [step]: mapAt(inner, rest, map) } : value
}
