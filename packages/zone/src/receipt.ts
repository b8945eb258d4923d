import type { Receipt } from '@zonemesh/plane/api/answers.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import type { ZoneBase } from './base.ts'
import type { ZoneCore } from './core.ts'

/**
 * Waits for the receipt of a write on this zone: stored at once, served by its proxies, or refused by a verdict on
 * its rows or on what an Envoy got because of them.
 */
export async function waitForReceipt(
  { clock, zone, store }: Pick<ZoneBase, 'clock' | 'zone' | 'store'>,
  { engine, reporter }: Pick<ZoneCore, 'engine' | 'reporter'>,
  revision: number,
  level: 'stored' | 'served',
  timeoutMs: number,
): Promise<Receipt> {
  const startMs = clock.monotonicMs()
  const reached = () => (level === 'stored' ? engine.mark.value : reporter.together().mark) >= revision
  if (!reached()) {
    await new Promise<void>((resolve) => {
      const finish = () => {
        timer[Symbol.dispose]()
        listening[Symbol.dispose]()
        resolve()
      }
      const timer = clock.after(timeoutMs, finish)
      const listening = reporter.onUpdate(() => {
        if (reached()) finish()
      })
    })
  }
  const done = reached()
  const delayMs = clock.monotonicMs() - startMs
  const rejected: string[] = []
  for (const { key, subject, reason } of reporter.verdicts()) {
    // What an Envoy refuses may come from the row of its proxy, such as the port of an outbound.
    const rows = [key, subject].filter((text) => text !== '').map((text) => store.get(parseKeyText(text)))
    if (!(await Promise.all(rows)).some((version) => version?.revision === revision)) continue
    rejected.push(`${key.split('/').slice(1).filter(Boolean).join('/')}: ${reason}`)
  }
  const state = !done ? ('pending' as const) : rejected.length > 0 ? ('refused' as const) : ('reached' as const)
  return {
    revision: String(revision),
    level,
    complete: state === 'reached',
    zones: [
      {
        zone,
        state,
        ...(done ? { delayMs } : {}),
        ...(rejected.length > 0 ? { reason: rejected.join('; ') } : {}),
      },
    ],
  }
}
