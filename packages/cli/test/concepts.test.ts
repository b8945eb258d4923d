import { readFileSync } from 'node:fs'
import { outcome, receipt, zoneReceipt } from '@zonemesh/plane/api/answers.ts'
import { rollbackOutcomes } from '@zonemesh/plane/api/rollback.ts'
import { runStates, versionKinds } from '@zonemesh/plane/history/versions.ts'
import { goodbyeCodes, verdictOutcomes } from '@zonemesh/shared/sync/log/messages.ts'
import { uplinkPhases } from '@zonemesh/shared/sync/uplink-state.ts'
import { proxyStates } from '@zonemesh/zone/status/status.ts'
import { expect, test } from 'vitest'
import { processStates } from '../src/commands/status.ts'
import { zoneStates } from '../src/output/show-status.ts'
import { livenessStates } from '../src/resources/liveness.ts'

/** The words for states that commands print or the API answers, by where they occur. */
const words: Readonly<Record<string, readonly string[]>> = {
  'zones in status': zoneStates,
  'levels of receipts': receipt.unwrap().shape.level.options,
  'zones in receipts': zoneReceipt.unwrap().shape.state.options,
  'outcomes of documents': outcome.unwrap().shape.outcome.options,
  'outcomes of a rollback': rollbackOutcomes,
  verdicts: verdictOutcomes,
  proxies: proxyStates,
  'zones and proxies in lists': livenessStates,
  'the session of a zone': uplinkPhases,
  'ends of sessions': goodbyeCodes,
  'versions in the history': versionKinds,
  'zones in the history': runStates,
  'processes of a scene': processStates,
}

test('GD2 docs/concepts.md defines every word for a state that commands print or the API answers', () => {
  const page = readFileSync(new URL('../../../docs/concepts.md', import.meta.url), 'utf8')
  const defined = new Set([...page.matchAll(/\*\*([^*]+)\*\*/g)].map(([, word]) => word))
  const missing = Object.entries(words).flatMap(([where, all]) =>
    all.filter((word) => !defined.has(word) && !defined.has(word.replace('-', ' '))).map((word) => `${where}: ${word}`),
  )
  expect(missing).toEqual([])
  expect(Object.values(words).flat().length).toBeGreaterThan(50)
})
