import { concernedRequests } from '@zonemesh/core/explain/concerned.ts'
import { explain } from '@zonemesh/core/explain/explain.ts'
import type { Client } from '../base/client.ts'
import { sourcesFromGlobal } from './from-planes.ts'

const requestsMax = 50
const shownMax = 3

/**
 * What requests meet that the gateways answer by these resources: one line for each that reaches no service. `keys` are
 * key texts. Nothing is shown if the plane is no global, or does not permit it.
 */
export async function unreachable(client: Client, keys: readonly string[]): Promise<readonly string[]> {
  const sources = await sourcesFromGlobal(client)
  if (!sources) return []
  const lineByFault = new Map<string, string>()
  for (const { url, request, from } of concernedRequests(new Set(keys), sources).slice(0, requestsMax)) {
    const { mismatch } = explain(request, from, sources)
    const at = `${from.zone}/${from.gateway}`
    const fault = `${at} ${mismatch?.problem}`
    // Several routes of a rule fail for one reason.
    if (mismatch && !lineByFault.has(fault))
      lineByFault.set(fault, `but ${url} at ${at} fails: ${mismatch.problem}; ${mismatch.remedy}`)
  }
  const lines = [...lineByFault.values()]
  const more = lines.length - shownMax
  return more > 0 ? [...lines.slice(0, shownMax), `and ${more} more; see \`zonemesh explain\``] : lines
}
