import { causesMax, type Traceparent, withCauses } from '../env/trace.ts'
import type { Store } from './store.ts'

/** A reader that is further behind gets the contexts of the newest commits only. */
const commitsMax = 64

/** The trace contexts of the commits after one revision up to another: each one once, the newest last, at most 8. */
export async function causesBetween(
  store: Pick<Store, 'records'>,
  after: number,
  through: number,
): Promise<readonly Traceparent[]> {
  const from = Math.max(after, through - commitsMax)
  const records = await store.records({ after: from, limit: through - from })
  let causes: readonly Traceparent[] = []
  for (const { traceparent } of records) if (traceparent) causes = withCauses(causes, [traceparent])
  return causes.slice(-causesMax)
}
