import { globalOrigin, type ResourceKey } from '../resource/resource.ts'
import type { Store } from '../store/store.ts'
import type { Hello } from './log/messages.ts'
import { epochKind } from './log/rounds.ts'

const epochKey = (zone: string): ResourceKey => ({ origin: globalOrigin, kind: epochKind, mesh: '', name: zone })

const triesMax = 10

/** Takes the next epoch of a zone by compare-and-set: of two sessions, on whatever replicas, exactly one is the newer. */
export async function nextEpoch(store: Store, zone: string, hello: Hello): Promise<number> {
  for (let tries = 1; tries <= triesMax; tries += 1) {
    const found = await store.get(epochKey(zone))
    const former = found?.state === 'live' ? found : undefined
    const epoch = Number(former?.row?.spec['epoch'] ?? 0) + 1
    const { storeId, host, startedAtMs } = hello
    const outcome = await store.commit({
      changes: [
        {
          op: 'put',
          key: epochKey(zone),
          labels: {},
          spec: { epoch, storeId, host, startedAtMs },
          expect: former ? { revision: former.revision } : { absent: true },
        },
      ],
      subject: `zone ${zone}`,
      intent: 'open a sync session',
    })
    if (outcome.ok) return epoch
  }
  throw new Error(`zone ${zone} cannot get an epoch: ${triesMax} tries lost to other sessions`)
}
