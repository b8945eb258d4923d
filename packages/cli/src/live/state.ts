import type { Colour } from '../output/colour.ts'

/** One request through the gateway of the demo, and who answered it. */
export interface Request {
  readonly atMs: number
  readonly ms: number
  /** 0 if there was no response. */
  readonly status: number
  /** The zone and the version of the instance that answered, or why nobody did. */
  readonly answeredBy: string
}

export const isFailed = ({ status }: Pick<Request, 'status'>): boolean => status !== 200

/** A zone as the global reports it. */
export interface ZoneState {
  readonly zone: string
  readonly state: string
  readonly session: string
  readonly served: string
  readonly proxies: string
}

export type LiveEvent =
  | { readonly type: 'request'; readonly request: Request }
  /** The zones as the global reports them; undefined while it does not answer. */
  | { readonly type: 'status'; readonly atMs: number; readonly zones: readonly ZoneState[] | undefined }
  | { readonly type: 'started'; readonly atMs: number; readonly name: string }
  | { readonly type: 'ended'; readonly atMs: number; readonly name: string; readonly how: string }
  /** A change is served, with the delay in each zone. */
  | { readonly type: 'served'; readonly atMs: number; readonly what: string; readonly delays: string }
  /** What a key has done. */
  | { readonly type: 'acted'; readonly atMs: number; readonly text: string; readonly colour?: Colour }

export interface Line {
  readonly atMs: number
  readonly text: string
  readonly colour?: Colour
}

interface Outage {
  readonly sinceMs: number
  requests: number
  failed: number
}

/** What the screen shows. Only `happened` changes it. */
export interface LiveState {
  zones: readonly ZoneState[] | undefined
  readonly processes: Map<string, { readonly runs: boolean; readonly restarts: number }>
  requests: readonly Request[]
  changes: readonly Line[]
  events: readonly Line[]
  /** Processes that have ended and zones that are not current, with the requests since then. */
  readonly outages: Map<string, Outage>
}

export const createLiveState = (): LiveState => ({
  zones: undefined,
  processes: new Map(),
  requests: [],
  changes: [],
  events: [],
  outages: new Map(),
})

/** The requests of this time are counted. */
export const windowMs = 10_000
const linesMax = 6
const changesMax = 4

/** Applies an event. Faults that begin and end become lines of their own, with the traffic in between. */
export function happened(state: LiveState, event: LiveEvent): void {
  switch (event.type) {
    case 'request': {
      const { request } = event
      state.requests = [...state.requests.filter(({ atMs }) => atMs > request.atMs - windowMs), request]
      for (const outage of state.outages.values()) {
        outage.requests += 1
        if (isFailed(request)) outage.failed += 1
      }
      return
    }
    case 'status':
      return void followZones(state, event.atMs, event.zones)
    case 'started': {
      const known = state.processes.get(event.name)
      state.processes.set(event.name, { runs: true, restarts: known ? known.restarts + 1 : 0 })
      if (known) over(state, event.atMs, event.name, 'is started again')
      return
    }
    case 'ended':
      state.processes.set(event.name, { runs: false, restarts: state.processes.get(event.name)?.restarts ?? 0 })
      return void begun(state, event.atMs, event.name, `ended with ${event.how}`)
    case 'served':
      state.changes = [...state.changes, { atMs: event.atMs, text: `${event.what}: ${event.delays}` }].slice(
        -changesMax,
      )
      return
    case 'acted':
      return void say(state, event.atMs, event.text, event.colour)
  }
}

function say(state: LiveState, atMs: number, text: string, colour?: Colour): void {
  state.events = [...state.events, { atMs, text, ...(colour ? { colour } : {}) }].slice(-linesMax)
}

function begun(state: LiveState, atMs: number, subject: string, what: string): void {
  state.outages.set(subject, { sinceMs: atMs, requests: 0, failed: 0 })
  say(state, atMs, `${subject} ${what}`, 'red')
}

function over(state: LiveState, atMs: number, subject: string, what: string): void {
  const outage = state.outages.get(subject)
  state.outages.delete(subject)
  const seconds = outage ? ` after ${((atMs - outage.sinceMs) / 1000).toFixed(1)} s` : ''
  const traffic = outage ? `; meanwhile ${outage.requests} requests, ${outage.failed} failed` : ''
  say(state, atMs, `${subject} ${what}${seconds}${traffic}`, 'green')
}

/** States that pass by themselves within a moment are no faults. */
const healthy = new Set(['current', 'behind'])

function followZones(state: LiveState, atMs: number, zones: readonly ZoneState[] | undefined): void {
  const before = state.zones
  state.zones = zones
  if (!zones) {
    if (before) begun(state, atMs, 'the global', 'does not answer')
    return
  }
  if (!before && state.outages.has('the global')) over(state, atMs, 'the global', 'answers again')
  for (const { zone, state: now } of zones) {
    const subject = `zone ${zone}`
    const isDown = state.outages.has(subject)
    if (!healthy.has(now) && !isDown) begun(state, atMs, subject, `is ${now}`)
    if (now === 'current' && isDown) over(state, atMs, subject, 'is current again')
  }
}
