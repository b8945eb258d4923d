import { RE2JS } from 're2js'

const charactersMax = 4_096
const instructionsMax = 10_000

/** Unicode categories that RE2 supports. RE2JS accepts more. */
const categories = /^(Any|C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?)$/

/** Why Envoy would refuse an expression, or why it is too expensive; undefined if it is valid. */
export function regexFault(pattern: string): string | undefined {
  if (pattern.length > charactersMax) return `expected at most ${charactersMax} characters, found ${pattern.length}`
  try {
    const size = RE2JS.compile(pattern).programSize()
    if (size > instructionsMax) return `expected a program of at most ${instructionsMax} instructions, found ${size}`
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown)
  }
  // Envoy matches single bytes.
  const wide = [...pattern.matchAll(/\\x\{([0-9a-fA-F]+)\}/g)].find(([, code = '']) => Number.parseInt(code, 16) > 0xff)
  if (wide) return `invalid escape sequence: \`${wide[0]}\``
  const strange = [...pattern.matchAll(/\\[pP]\{\^?(\w+)\}/g)].find(
    ([, name = '']) => !categories.test(name) && !isScript(name),
  )
  return strange ? `invalid character class range: \`${strange[0]}\`` : undefined
}

function isScript(name: string): boolean {
  try {
    return new RegExp(`\\p{Script=${name}}`, 'u') instanceof RegExp
  } catch {
    return false
  }
}
