import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomic } from '@zonemesh/dataplane/files.ts'
import type { Outcome, Receipt } from '@zonemesh/plane/api/answers.ts'
import { canonicalJson, shortHash } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import type { Client } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { untilAnswer } from '../base/http.ts'
import type { SourceDocument } from '../files/documents.ts'
import { limitMs, type Stage } from './stage.ts'

/** Waits until all zones of a scene are online. */
async function untilOnline(stage: Stage, global: Client, zones: readonly string[]): Promise<void> {
  const online = untilAnswer(
    'zones online',
    limitMs,
    () => global.need('GET', '/_status'),
    ({ json }) => zones.every((zone) => onlineZones(json).includes(zone)),
    (status) => status.text,
  )
  await stage.orFail(online)
  stage.steps.done(`zones online: ${zones.join(', ')}`)
}

function onlineZones(status: unknown): readonly string[] {
  const zones: unknown = status !== null && typeof status === 'object' ? Reflect.get(status, 'zones') : undefined
  const known: readonly { readonly zone: string; readonly connected?: boolean }[] = Array.isArray(zones) ? zones : []
  return known.filter(({ connected }) => connected).map(({ zone }) => zone)
}

/**
 * Applies the policies of a scene in one commit, and checks that all zones are online and have stored it. A document is
 * applied again only after its text has changed, so that a later start does not undo what was applied meanwhile.
 */
export async function applyPolicies(
  stage: Stage,
  global: Client,
  documents: readonly SourceDocument[],
  zones: readonly string[],
): Promise<void> {
  const unreadable = documents.find(({ error }) => error !== undefined)
  if (unreadable) throw new CommandError(`${unreadable.file}:${unreadable.line}: ${unreadable.error}`)
  const file = join(stage.folder, 'applied.json')
  const before = readApplied(file)
  const hashes = documents.map(({ content }) => shortHash(canonicalJson(content)))
  const changed = documents.filter((_, index) => !before.includes(hashes[index] ?? ''))
  if (changed.length === 0) {
    await untilOnline(stage, global, zones)
    stage.steps.done(`policies unchanged since they were applied: ${documents.length} resources`)
    return
  }
  const reply = await global.need('POST', '/_commit', {
    documents: changed.map((one) => one.content),
    intent: 'the scene',
  })
  // The plane answers with its own types.
  const { revision, outcomes } = reply.json as { readonly revision: string; readonly outcomes: readonly Outcome[] }
  const bad = outcomes.find((one) => one.outcome === 'refused')
  if (bad) {
    const at = changed[bad.index]
    const [first] = bad.violations ?? []
    throw new CommandError(
      `${at?.file}:${at?.line}: ${bad.type || 'document'} ${bad.name}: ${first ? `${first.field}: ${first.reason}` : bad.detail}`,
    )
  }
  await untilOnline(stage, global, zones)
  const receipt = await global.need('GET', `/_receipts/${encodeURIComponent(revision)}?wait=stored@all&timeout=20s`)
  const { complete, zones: stored } = receipt.json as Receipt // the plane answers with its own type
  if (!complete) throw new Error(`the policies did not reach every zone: ${receipt.text}`)
  await writeAtomic(file, JSON.stringify(hashes))
  const where = stored.map((one) => one.zone).join(' and ')
  stage.steps.done(`policies synced: ${outcomes.length} resources stored in ${where} (${revision})`)
}

function readApplied(file: string): readonly string[] {
  try {
    return z.array(z.string()).parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    // No file, or one of another version: all documents are applied again.
    return []
  }
}
