import type { Kind } from '@zonemesh/core/kinds/kind.ts'
import { publicKinds } from '@zonemesh/core/registry.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { repeat } from '@zonemesh/shared/env/clock.ts'
import type { ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import { HorizonError } from '@zonemesh/shared/store/errors.ts'
import { versionsBetween } from '@zonemesh/shared/store/state.ts'
import { positionText, type Version } from '@zonemesh/shared/store/store.ts'
import { createLatest } from '@zonemesh/shared/streams/latest.ts'
import { ApiError, badRequest } from './errors.ts'
import { anonymous, isAdmin, requireAdmin, type User } from './identity.ts'
import { anonymousStreamsMax, eventBacklogMax, eventHeartbeatMs, eventStreamMs, eventStreamsMax } from './limits.ts'
import { shownName } from './names.ts'
import type { ApiPlane } from './plane.ts'
import { requireMesh } from './resources.ts'
import type { Answer, Call, Router } from './route.ts'

/**
 * `GET /_events?kinds=Timeout,Retry&mesh=default`: a stream of server-sent events with the resources that change. The
 * first event, `start`, has the present revision; a caller that lists the resources after it misses nothing. The log is
 * the queue: a stream has a position and reads what changed after it, so a slow reader costs no memory, and gets several
 * changes of one resource as one. A reader that is too far behind gets `resync` and the stream ends: it lists again.
 */
export function createEvents(plane: ApiPlane) {
  const closing = new AbortController()
  /** Each stream until its connection is closed, and whether its caller has no credentials. */
  const open = new Map<Promise<void>, boolean>()

  async function events(call: Call): Promise<Answer> {
    const { mesh, kinds } = await selectionOf(plane, call)
    const isAnonymous = call.user === anonymous
    if (open.size >= eventStreamsMax) throw tooMany(`${eventStreamsMax} streams of events are open`)
    if (isAnonymous && [...open.values()].filter(Boolean).length >= anonymousStreamsMax)
      throw tooMany(`${anonymousStreamsMax} streams of events without credentials are open`)
    const isSelected: Filter = ({ kind, mesh: of }) => (mesh === undefined || of === mesh ? kinds.get(kind) : undefined)
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    open.set(closed, isAnonymous)
    void closed.then(() => open.delete(closed))
    const stream = (signal: AbortSignal) => {
      void untilAborted(signal).then(resolve)
      return untilClosed(isSelected, signal)
    }
    return { status: 200, body: undefined, stream }
  }

  async function* untilClosed(isSelected: Filter, signal: AbortSignal): AsyncGenerator<string> {
    yield* streamOf(plane, isSelected, AbortSignal.any([signal, closing.signal]))
    if (closing.signal.aborted) yield message('end', { reason: 'the control plane stops' })
  }

  return {
    /** Opens the stream of a call. Refuses with 503 if too many are open. */
    open: events,
    /** Ends all streams. Resolves when their callers have the last message, or after half a second. */
    async close(): Promise<void> {
      closing.abort()
      const late = Promise.withResolvers<void>()
      using _limit = plane.clock.after(closeMs, late.resolve)
      await Promise.race([Promise.all(open.keys()), late.promise])
    },
  }
}

const closeMs = 500

const tooMany = (what: string): ApiError =>
  new ApiError(503, 'Service Unavailable', `${what}, the most that a control plane serves: try again later`, [], {
    'Retry-After': '5',
  })

/** The kinds and the mesh of a request, with the rights of the routes of lists. */
async function selectionOf(plane: ApiPlane, { query, user }: Call) {
  const mesh = query.get('mesh') ?? undefined
  const names = query.get('kinds')?.split(',') ?? []
  const kinds = names.length > 0 ? names.map((name) => kindNamed(name, user)) : readableKinds(user, mesh)
  if (mesh !== undefined) await requireMesh(plane, mesh)
  return { mesh, kinds: new Map(kinds.map((kind) => [kind.name, kind])) }
}

const readableKinds = (user: User, mesh: string | undefined): readonly Kind[] =>
  publicKinds.filter(
    ({ adminOnly, scope }) => (!adminOnly || isAdmin(user)) && (mesh === undefined || scope === 'mesh'),
  )

function kindNamed(name: string, user: User): Kind {
  const kind = publicKinds.find((one) => one.name === name || one.path === name)
  if (!kind)
    throw badRequest(`kinds: unknown kind "${name}"`, [
      { field: 'kinds', reason: `unknown kind "${name}"`, choices: publicKinds.map((one) => one.name) },
    ])
  if (kind.adminOnly) requireAdmin(user, `access the resource of type "${kind.name}"`)
  return kind
}

type Filter = (key: ResourceKey) => Kind | undefined

/** The messages of one stream, until it is too far behind, too old, or aborted. */
async function* streamOf(plane: ApiPlane, isSelected: Filter, signal: AbortSignal): AsyncGenerator<string> {
  const { store, clock } = plane
  const wake = createLatest(0)
  const ring = () => wake.set(wake.value + 1)
  let beats = 0
  // The hints of a store may be lost. The heartbeat finds what they have missed.
  using _hint = store.onMark(ring)
  using _beat = repeat(clock, eventHeartbeatMs, () => {
    beats += 1
    ring()
  })
  const endMs = clock.monotonicMs() + eventStreamMs
  const start = await store.mark()
  let seen = start.revision
  let beaten = 0
  yield message('start', { revision: positionText(start) })
  for await (const _wake of wake.watch(signal)) {
    const { revision } = await store.mark()
    if (revision > seen) {
      const isWhole = yield* changesOf(plane, isSelected, seen, revision)
      if (!isWhole) return void (yield resync('it is too far behind the changes'))
      seen = revision
    }
    if (beats > beaten) yield ': heartbeat\n\n'
    beaten = beats
    // Its caller is authenticated again with the next stream.
    if (clock.monotonicMs() >= endMs) return void (yield resync(`it is older than ${eventStreamMs / 60_000} minutes`))
  }
}

/** The messages of all changes between two revisions. Returns false if there are too many, or if they are not kept. */
async function* changesOf(
  plane: ApiPlane,
  isSelected: Filter,
  after: number,
  through: number,
): AsyncGenerator<string, boolean> {
  let count = 0
  try {
    for await (const version of versionsBetween(plane.store, after, through)) {
      count += 1
      if (count > eventBacklogMax) return false
      const kind = isSelected(version.key)
      const change = kind && (await changeOf(plane, version, after))
      if (!kind || !change) continue
      const { mesh } = version.key
      yield message(change, {
        type: kind.name,
        ...(kind.scope === 'mesh' ? { mesh } : {}),
        name: shownName(kind, version, plane.origin),
        revision: `@${version.revision}`,
      })
    }
    return true
  } catch (thrown) {
    if (thrown instanceof HorizonError) return false
    throw thrown
  }
}

/** How a row differs from what a reader at a revision has; undefined for a row that came and went in between. */
async function changeOf({ store }: ApiPlane, { key, row }: Version, after: number) {
  const former = (await store.history(key)).find(({ revision }) => revision <= after)
  if (former?.row) return row ? 'changed' : 'deleted'
  return row ? 'added' : undefined
}

const resync = (why: string): string => message('resync', { reason: `this stream ends because ${why}: list again` })

const message = (event: string, data: object): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/** Registers the stream of events. Its server counts and ends the streams. */
export function registerEvents(route: Router): void {
  route('GET', '/_events', (_plane, call) => call.openEvents(), {
    group: 'Resources',
    summary: 'Streams the resources that change, as server-sent events',
    access: 'readers',
    query: { kinds: 'names or paths of kinds, separated by commas', mesh: 'only resources of this mesh' },
    answers: {
      200: { what: 'events `start`, `added`, `changed`, `deleted`, `resync` and `end`', shape: { type: 'events' } },
    },
  })
}
