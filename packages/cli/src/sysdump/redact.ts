import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

const redacted = '<redacted>'

/** Secrets by their form. */
const forms: readonly (readonly [RegExp, string])[] = [
  // A private key in PEM; in JSON its line breaks are escaped.
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, redacted],
  [/\bzmj1\.[\w-]+/g, redacted],
  [/\beyJ[\w-]+\.[\w-]*(\.[\w-]*)?/g, redacted],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]+/gi, `$1 ${redacted}`],
  [/(:\/\/[^\s:/@"']*:)[^\s@"']+@/g, `$1${redacted}@`],
  // PEM and other material in base64. Hashes in hex are shorter.
  [/[A-Za-z0-9+/_-]{100,}={0,2}/g, redacted],
  [
    /((?:password|passwd|secret|token|api_?key|private_?key)["']?\s*[=:]\s*["']?)(?!<)[^\s"',;}]{6,}/gi,
    `$1${redacted}`,
  ],
]

/** Fields of resources that hold keys, passwords or secrets as texts. */
const secretFields = /^(inline|inlineString|data|secret|password|token|key|privateKey|sealed)$/

/** Removes secrets from texts and values of an archive that others read. */
export interface Redaction {
  text(text: string): string
  value(value: unknown): unknown
}

/** `known` are secrets of this machine, which are removed wherever they appear. */
export function createRedaction(known: readonly string[]): Redaction {
  const literal = [...new Set(known)].filter((one) => one.length >= 8).sort((a, b) => b.length - a.length)
  const text = (given: string): string => {
    const without = literal.reduce((rest, one) => rest.replaceAll(one, redacted), given)
    return forms.reduce((rest, [form, instead]) => rest.replace(form, instead), without)
  }
  const value = (given: unknown): unknown => {
    if (typeof given === 'string') return text(given)
    if (Array.isArray(given)) return given.map(value)
    if (given === null || typeof given !== 'object') return given
    return Object.fromEntries(
      Object.entries(given).map(([name, one]) => [
        text(name),
        typeof one === 'string' && secretFields.test(name) ? redacted : value(one),
      ]),
    )
  }
  return { text, value }
}

const secretFiles = /\.(token|join|key)$/
const fileBytesMax = 100_000

/** The contents of all files with tokens, join strings and keys below a folder. */
export function secretsBelow(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => secretFiles.test(name))
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile() && statSync(path).size <= fileBytesMax)
      .map((path) => readFileSync(path, 'utf8').trim())
  } catch {
    // No folder, or one of another user, which holds nothing that this command reads.
    return []
  }
}
