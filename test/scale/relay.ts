import { type Arrival, type Child, createHub, type Hub, lineDelayMs, type Model, type ModelChange } from './hub.ts'

/** How long a relay gathers what goes up, so that its parent gets one commit and one bookmark of many zones. */
const gatherMs = 50
/**
 * How often it sends the status of each zone. In between, a bookmark has only the lowest revisions of its zones: what
 * all of them have.
 */
const statusEveryMs = 1_000

/** The zones below a relay: from `first` up to, and without, `end`. */
interface ZoneRange {
  readonly first: number
  readonly end: number
}

/**
 * A relay: it stores the log of its parent in a store of its own and serves it as a global does. Upwards it sends the
 * rows and the statuses of the zones below it, gathered. It has no API and no catalogue.
 */
export function attachRelay(model: Model, parent: Hub, { first, end }: ZoneRange): Hub {
  const { timeline, costs } = model
  let rows: ModelChange[] = []
  let entries = 0
  let hasTimer = false
  let statusAtMs = 0
  const hub = createHub(model, { onArrival })

  function onArrival(arrival: Arrival): void {
    if (arrival.types.includes('bookmark')) entries += Math.max(1, arrival.entries)
    if (arrival.rows.length > 0) {
      rows.push(...arrival.rows)
      hub.commit(arrival.rows, costs.commitMs + arrival.rows.length * costs.rowStoredMs)
    }
    gather()
  }

  function gather(): void {
    if (hasTimer) return
    hasTimer = true
    timeline.at(gatherMs, () => {
      hasTimer = false
      const types = rows.length > 0 ? (['rows', 'mark', 'bookmark'] as const) : (['mark', 'bookmark'] as const)
      const isStatusDue = timeline.now() - statusAtMs >= statusEveryMs
      const arrival = { types, rows, entries: isStatusDue ? Math.min(entries, end - first) : 0 }
      rows = []
      if (isStatusDue) {
        entries = 0
        statusAtMs = timeline.now()
      }
      const frames = types.length
      hub.process.do({
        costMs: () => frames * costs.frameMs,
        run: () => timeline.at(lineDelayMs(model), () => session.arrive(arrival)),
      })
    })
  }

  const child: Child = {
    covers: (zone) => zone >= first && zone < end,
    receive(received) {
      if (received.length > 0) hub.commit(received, costs.commitMs + received.length * costs.rowStoredMs)
      gather()
    },
  }
  const session = parent.attach(child)
  return hub
}
