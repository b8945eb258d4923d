import { joinRelay, type Relay } from '@zonemesh/plane/replicas/relay.ts'
import { err, type JsonObject, ok, type Result } from '@zonemesh/shared/base/base.ts'
import type { Leadership } from '@zonemesh/shared/leader/election.ts'
import type { QueryHandler } from '@zonemesh/shared/query/exchange.ts'
import type { QueryFailure } from '@zonemesh/shared/query/query.ts'
import { z } from 'zod'
import type { ZoneReplicas } from './replicas/replicas.ts'

/** What one process of a zone answers. */
interface Own {
  /** A view of a proxy that is connected here. */
  readonly proxy: QueryHandler
  /** What the proxies that are connected here have accepted. */
  sights(): JsonObject
  /** Asks the global. Only the process with the session gets an answer. */
  askGlobal(name: string, request: JsonObject, signal: AbortSignal): Promise<Result<JsonObject, QueryFailure>>
  /** Releases the hold of the session, or lost proxies. Resolves with the released hold. */
  release(hold: string | undefined): Promise<Result<JsonObject, string>>
}

interface Deps {
  readonly relay: Parameters<typeof joinRelay>[0]
  /** The name of this process, if other processes share its store. */
  readonly replica: string | undefined
  readonly replicas: Pick<ZoneReplicas, 'others'>
  readonly leadership: Pick<Leadership, 'leader' | 'lead'>
}

/** The same questions, answered by all processes of the zone together. */
export interface ZoneReplicaQueries extends AsyncDisposable {
  readonly proxy: QueryHandler
  sights(): Promise<JsonObject>
  readonly askGlobal: Own['askGlobal']
  readonly release: Own['release']
}

const globalQuestion = z.object({ name: z.string(), request: z.record(z.string(), z.json()) })
const waitMs = 10_000

const refused = (answer: Result<JsonObject, string>): Result<JsonObject, QueryFailure> =>
  answer.ok ? answer : err({ code: 'refused', reason: answer.error })

export function createZoneReplicaQueries(
  { replica, replicas, leadership, ...deps }: Deps,
  own: Own,
): ZoneReplicaQueries {
  if (replica === undefined)
    return { ...own, sights: async () => own.sights(), [Symbol.asyncDispose]: async () => undefined }
  const relay = joinRelay(deps.relay, replica, {
    proxy: async (request, signal) => refused(await own.proxy(request, signal)),
    sights: async () => ok(own.sights()),
    release: async ({ hold }) => refused(await own.release(typeof hold === 'string' ? hold : undefined)),
    async global(request, signal) {
      const read = globalQuestion.safeParse(request)
      if (!read.success) return err({ code: 'refused', reason: 'the question for the global has no name' })
      return own.askGlobal(read.data.name, read.data.request, signal)
    },
  })
  /** The replica with the session; undefined if it is this one, or not yet known. */
  const holder = (): string | undefined =>
    leadership.lead.value || leadership.leader() === '' ? undefined : leadership.leader()
  return {
    proxy: (request, signal) => askInTurn(relay, replicas, own.proxy, request, signal),
    async sights() {
      const others = replicas
        .others()
        .map(({ instance }) => relay.ask(instance, 'sights', {}, AbortSignal.timeout(waitMs)))
      const answers = await Promise.all(others)
      return Object.assign({}, ...answers.map((answer) => (answer.ok ? answer.value : {})), own.sights())
    },
    async askGlobal(name, request, signal) {
      const at = holder()
      return at === undefined
        ? own.askGlobal(name, request, signal)
        : relay.ask(at, 'global', { name, request }, signal)
    },
    async release(hold) {
      const at = holder()
      if (at === undefined) return own.release(hold)
      const question = hold === undefined ? {} : { hold }
      const answer = await relay.ask(at, 'release', question, AbortSignal.timeout(waitMs))
      return answer.ok ? answer : err(answer.error.reason)
    },
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  }
}

/**
 * A view of a proxy, from the replica to which it is connected. Its Envoy and its data plane may be connected to
 * different ones, so all are asked, first those that show it as connected.
 */
async function askInTurn(
  relay: Relay,
  { others }: Pick<ZoneReplicas, 'others'>,
  proxy: QueryHandler,
  request: JsonObject,
  signal: AbortSignal,
): Promise<Result<JsonObject, string>> {
  const here = await proxy(request, signal)
  if (here.ok) return here
  const name = String(request['name'])
  const shows = (one: ReturnType<ZoneReplicas['others']>[number]): number =>
    [...one.proxies].some(([key, { isConnected }]) => isConnected && key.endsWith(`/${name}`)) ? 0 : 1
  for (const { instance } of [...others()].sort((a, b) => shows(a) - shows(b))) {
    const answer = await relay.ask(instance, 'proxy', request, signal)
    if (answer.ok) return answer
  }
  return here
}
