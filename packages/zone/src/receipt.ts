import type { Receipt } from '@zonemesh/plane/api/plane.ts'
import type { ZoneBase } from './base.ts'
import type { ZoneCore } from './core.ts'

/** A receipt for a write on this very zone: stored at once, served when its proxies say so. */
export async function waitHere(
  { clock, zone }: ZoneBase,
  { engine, progress, reporter }: ZoneCore,
  revision: number,
  level: 'stored' | 'served',
  timeoutMs: number,
): Promise<Receipt> {
  const startMs = clock.monotonicMs()
  const reached = () => (level === 'stored' ? engine.mark.value : progress.read().mark) >= revision
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
  return {
    revision: String(revision),
    level,
    complete: done,
    zones: [{ zone, state: done ? 'reached' : 'pending', ...(done ? { delayMs } : {}) }],
  }
}
