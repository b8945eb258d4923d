import { inSpan, parseTraceparent, type Span, type Tracer } from '@zonemesh/shared/env/trace.ts'
import type { Change, Commit, CommitOutcome } from '@zonemesh/shared/store/store.ts'
import { withRounds } from '@zonemesh/shared/store/wrap.ts'
import type { ApiPlane } from './plane.ts'
import type { Answer } from './route.ts'

interface Asked {
  readonly method: string
  /** The template of the route. */
  readonly path: string
  /** The header of the caller, which may be anything. */
  readonly traceparent: unknown
}

/**
 * Serves an admitted request that may write in a span, which continues the trace of the caller. The plane that `serve`
 * gets makes each commit in a span of its own, and the record of the commit carries that span. `statusOf`: the status of
 * the answer after an error.
 */
export async function traced(
  plane: ApiPlane,
  { method, path, traceparent }: Asked,
  serve: (plane: ApiPlane) => Promise<Answer>,
  statusOf: (thrown: unknown) => number,
): Promise<Answer> {
  const { tracer } = plane
  if (!tracer?.isOn || method === 'GET') return serve(plane)
  const attributes = { 'http.request.method': method, 'http.route': path }
  const span = tracer.startRequest(`${method} ${path}`, parseTraceparent(traceparent), attributes)
  const ended = (status: number) => {
    span.set({ 'http.response.status_code': status })
    span.end(status >= 500 ? 'the request failed; the log has the reason' : undefined)
  }
  try {
    const answer = await serve(planeIn(plane, tracer, span))
    ended(answer.status)
    return answer
  } catch (thrown) {
    ended(statusOf(thrown))
    throw thrown
  }
}

/** The plane of one request. */
function planeIn(plane: ApiPlane, tracer: Tracer, request: Span): ApiPlane {
  if (!request.traceparent) return plane
  const causes = [request.traceparent]

  function inCommitSpan(
    parts: readonly Commit[],
    write: (parts: readonly Commit[]) => Promise<CommitOutcome>,
  ): Promise<CommitOutcome> {
    return inSpan(tracer.startWork('commit', causes, attributesOf(parts)), async (span) => {
      const { traceparent } = span
      const outcome = await write(traceparent ? parts.map((part) => ({ ...part, traceparent })) : parts)
      if (outcome.ok) span.set({ 'zonemesh.revision': outcome.position.revision })
      else span.end('the store refused the commit, because a row has changed')
      return outcome
    })
  }

  return {
    ...plane,
    store: withRounds(plane.store, (parts, options) =>
      inCommitSpan(parts, (own) => plane.store.commitRound(own, options)),
    ),
    commit: (commit) => inCommitSpan([commit], ([own = commit]) => plane.commit(own)),
  }
}

/** The number of changes, and which row is the first one. */
function attributesOf(parts: readonly Commit[]): Record<string, string | number> {
  const changes: readonly Change[] = parts.flatMap((part) => part.changes)
  const first = changes.find(({ op }) => op !== 'check')?.key
  return {
    'zonemesh.changes': changes.length,
    ...(first ? { 'zonemesh.kind': first.kind, 'zonemesh.name': first.name } : {}),
    ...(first?.mesh ? { 'zonemesh.mesh': first.mesh } : {}),
  }
}
