import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { z } from 'zod'
import type { Violation } from './kind.ts'
import { message } from './kind.ts'

export const serviceTag = 'kuma.io/service'
export const protocolTag = 'kuma.io/protocol'
export const zoneTag = 'kuma.io/zone'
export const meshTag = 'kuma.io/mesh'
export const displayNameLabel = 'kuma.io/display-name'
export const originLabel = 'kuma.io/origin'
export const namespaceLabel = 'k8s.kuma.io/namespace'
export const zoneLabel = 'kuma.io/zone'
export const meshLabel = 'kuma.io/mesh'
export const proxyTypeLabel = 'kuma.io/proxy-type'
/** The name that the user gave to a resource. */
export const displayName = ({ key, labels }: Pick<Row, 'key' | 'labels'>): string =>
  labels[displayNameLabel] ?? key.name
/** Marks the row of an egress whose Envoy does not listen yet. No traffic is sent to it. */
export const arrivingLabel = 'zonemesh.io/arriving'
/**
 * Marks the row of a proxy that was lost together with many others. Envoy probes whether its endpoints still accept
 * connections.
 */
export const lostLabel = 'zonemesh.io/lost'

export const protocols = ['grpc', 'http', 'http2', 'kafka', 'tcp'] as const
export type Protocol = (typeof protocols)[number]

/**
 * Tag → value. Unquoted numbers and booleans in YAML (`port: 8080`) become strings, as in Kuma. A key without a value
 * (`version:`) has the empty string.
 */
export const tagMap = z.record(
  z.string(),
  z
    .union([z.string(), z.number(), z.boolean(), z.null()], { error: 'expected a text' })
    .transform((value) => (value === null ? '' : String(value))),
)
export type Tags = Readonly<Record<string, string>>

export const selectorList = z.array(message({ match: tagMap.optional() }))
export type Selectors = readonly { readonly match?: Tags | undefined }[]

/** Envoy keeps durations as nanoseconds in 64 bits: about 292 years. */
export const durationMaxMs = Math.floor(Number(2n ** 63n - 1n) / 1e6)

/** A duration as text: Go's form (`1h30m`, `25ms`) or protobuf's (`0.5s`). */
export const duration = z
  .union([z.string(), z.number()])
  .transform((value) => (typeof value === 'number' ? `${value}s` : value))
  .refine((text) => durationMs(text) !== undefined, { error: 'expected a duration such as 10s, 1h30m or 25ms' })
  .refine((text) => (durationMs(text) ?? 0) <= durationMaxMs, { error: 'expected at most 292 years (2562047h)' })

/** A number of protobuf's type uint32. */
export const uint32 = z
  .number()
  .int()
  .min(0, { error: 'expected 0 or more' })
  .max(0xffff_ffff, { error: 'expected at most 4294967295' })

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

const dayMs = 86_400_000
const longUnits: Readonly<Record<string, number>> = { ...unitMs, d: dayMs, w: 7 * dayMs, y: 365 * dayMs }

/** The milliseconds of a duration text in a resource; undefined if the text is invalid. */
export const durationMs = (text: string): number | undefined => sumMs(text, unitMs)

/** What a duration that `spanMs` rejects should have been. */
export const spanExpected = 'expected a duration such as 30s, 12h, 30d'

/**
 * The milliseconds of a duration that an operator gives for an option or a token: also with days, weeks and years of
 * 365 days (`30d`, `1d12h`). Kuma accepts these units in no resource but the lifetime of a certificate.
 */
export function spanMs(text: string): number | undefined {
  const ms = sumMs(text, longUnits)
  return ms === undefined || ms > durationMaxMs ? undefined : ms
}

function sumMs(text: string, units: Readonly<Record<string, number>>): number | undefined {
  if (text === '0') return 0
  if (text === '') return undefined
  let rest = text.startsWith('-') ? undefined : text
  let total = 0
  while (rest) {
    const part = /^(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w|y)/.exec(rest)
    const unit = units[part?.[2] ?? '']
    if (!part || unit === undefined) return undefined
    total += Number(part[1]) * unit
    rest = rest.slice(part[0].length)
  }
  return rest === '' ? total : undefined
}

/**
 * The milliseconds of a certificate lifetime: one number with one unit, including days (`d`), weeks (`w`) and years of
 * 365 days (`y`). Undefined if the text is invalid.
 */
export function lifetimeMs(text: string): number | undefined {
  if (text === '0') return 0
  const [, count, unit] = /^(\d+)(y|w|d|h|m|s|ms)$/.exec(text) ?? []
  const ms = Number(count) * (longUnits[unit ?? ''] ?? Number.NaN)
  return ms <= durationMaxMs ? ms : undefined
}

export const port = z.number({ error: 'port must be in the range [1, 65535]' }).int()
export const portInRange = (value: number | undefined): boolean => value !== undefined && value >= 1 && value <= 65_535

/** A source of bytes: a file, a Secret or inline data. Exactly one member must be set. */
export const dataSource = message({
  file: z.string().optional(),
  secret: z.string().optional(),
  inline: z.string().optional(),
  inlineString: z.string().optional(),
})

/** A protobuf enum. Input may use any case; the schema returns the upper-case name. */
export const protoEnum = <const Names extends readonly [string, ...string[]]>(names: Names) =>
  z.preprocess((value) => (typeof value === 'string' ? value.toUpperCase() : value), z.enum(names))

const tagName = /^[a-zA-Z0-9.\-_:/]*$/
const tagValue = /^[a-zA-Z0-9.\-_:]*$/

interface TagRules {
  /** Values may be `*` and have slashes. */
  readonly selector: boolean
  readonly requireAny?: boolean
  readonly requireService: boolean
  readonly onlyService?: boolean
  readonly forbidden?: readonly string[]
  /** Kuma's documents use gateway and listener tags with a slash in the value (`port: tcp/8080`). */
  readonly allowSlash?: boolean
  /** Additional rules of one field, checked before the single tags. */
  readonly extra?: (field: string, tags: Tags) => readonly Violation[]
}

/** Kuma's tag rules, with its field paths, reasons and order. */
export function checkTags(field: string, tags: Tags, rules: TagRules): Violation[] {
  const violations: Violation[] = []
  const keys = Object.keys(tags).sort()
  if (rules.requireAny && keys.length === 0) violations.push({ field, reason: 'must have at least one tag' })
  if (rules.onlyService && (keys.length !== 1 || keys[0] !== serviceTag))
    violations.push({ field, reason: `must consist of exactly one tag "${serviceTag}"` })
  violations.push(...(rules.extra?.(field, tags) ?? []))
  for (const key of keys) violations.push(...checkTag(field, key, tags[key] ?? '', rules))
  if (rules.requireService && !keys.includes(serviceTag))
    violations.push({ field, reason: `mandatory tag "${serviceTag}" is missing` })
  return violations
}

function checkTag(field: string, key: string, value: string, rules: TagRules): Violation[] {
  const at = `${field}["${key}"]`
  const violations: Violation[] = []
  if (key === '') violations.push({ field, reason: 'tag name must be non-empty' })
  if (!tagName.test(key)) {
    violations.push({
      field: at,
      reason: 'tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores',
    })
  }
  if (rules.forbidden?.includes(key)) violations.push({ field: at, reason: `tag name must not be "${key}"` })
  if (rules.onlyService && key !== serviceTag) violations.push({ field: at, reason: `tag "${key}" is not allowed` })
  if (value === '') violations.push({ field: at, reason: 'tag value must be non-empty' })
  if (rules.selector && value !== '*' && !tagName.test(value)) {
    violations.push({
      field: at,
      reason: 'tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"',
    })
  }
  if (!rules.selector && !(rules.allowSlash ? tagName : tagValue).test(value)) {
    violations.push({
      field: at,
      reason: 'tag value must consist of alphanumeric characters, dots, dashes and underscores',
    })
  }
  return violations
}

/** Checks the selectors of a resource: at least one, each with valid tags. */
export function checkSelectors(field: string, selectors: Selectors, rules: Omit<TagRules, 'selector'>): Violation[] {
  if (selectors.length === 0) return [{ field, reason: 'must have at least one element' }]
  return selectors.flatMap(({ match = {} }, index) =>
    checkTags(`${field}[${index}].match`, match, { ...rules, selector: true }),
  )
}

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const subdomain = new RegExp(`^${label}(\\.${label})*$`)

export const isSubdomain = (text: string): boolean => text.length <= 253 && subdomain.test(text)

const ipv4 = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/
const isIpv6 = (text: string): boolean =>
  /^[0-9a-fA-F:.]+$/.test(text) && text.includes(':') && URL.canParse(`http://[${text}]/`)
export const isIp = (text: string): boolean => ipv4.test(text) || isIpv6(text)

/** A DNS name as Kuma accepts it, including capitals and underscores, which occur in container names. */
const dnsName = /^[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62}(\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*\.?$/

/** Kuma's address rules. One rule is stricter: an address of digits and dots must be a valid IP address. */
export function checkAddress(field: string, address: string | undefined): Violation[] {
  if (!address) return [{ field, reason: "address can't be empty" }]
  if (address === '0.0.0.0' || address === '::') return [{ field, reason: 'must not be 0.0.0.0 or ::' }]
  const looksNumeric = /^[\d.]+$/.test(address)
  if (isIp(address) || (!looksNumeric && address.length <= 253 && dnsName.test(address))) return []
  return [{ field, reason: 'address has to be valid IP address or domain name' }]
}

/** Whether a listener on this address conflicts with the admin interface, which listens on the loopback address. */
export const meetsAdmin = (address: string): boolean => ['127.0.0.1', '0.0.0.0', '::'].includes(address)

/** A violation if the port is out of range. */
export const checkPort = (field: string, value: number | undefined): Violation[] =>
  portInRange(value) ? [] : [{ field, reason: portReason }]

export const portReason = 'port must be in the range [1, 65535]'
