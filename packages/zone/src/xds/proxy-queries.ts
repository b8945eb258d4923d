import type { ServerDuplexStream } from '@grpc/grpc-js'
import { err, type JsonObject, type Result } from '@zonemesh/shared/base/base.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import { createExchange, type Exchange } from '@zonemesh/shared/query/exchange.ts'
import type { QueryFailure, QueryFrame } from '@zonemesh/shared/query/query.ts'
import { type ProxyIdentity, proxyId } from './contract.ts'

/** Asks a proxy of this zone; resolves with its answer, or with the reason why there is none. */
export type AskProxy = (
  proxy: ProxyIdentity,
  name: string,
  request: JsonObject,
  signal: AbortSignal,
) => Promise<Result<JsonObject, QueryFailure>>

interface OpenSession {
  readonly call: Pick<ServerDuplexStream<Buffer, Buffer>, 'writableNeedDrain' | 'once'>
  readonly send: (frame: QueryFrame) => void
  /** Whether the data plane answers queries. An older one does not. */
  readonly answers: boolean
  readonly version: string
}

export interface ProxyQueries {
  readonly ask: AskProxy
  /** Adds the session of a proxy. The newest session of a proxy is asked. */
  open(proxy: ProxyIdentity, session: OpenSession): Pick<Exchange, 'receive'> & Disposable
}

/** The queries to the data planes of this zone, over their sessions. */
export function createProxyQueries(clock: Clock): ProxyQueries {
  const exchangeById = new Map<string, Pick<Exchange, 'ask'>>()
  const idOf = (proxy: ProxyIdentity): string => `${proxy.type} ${proxyId(proxy)}`
  return {
    async ask(proxy, name, request, signal) {
      const exchange = exchangeById.get(idOf(proxy))
      if (exchange) return exchange.ask(name, request, signal)
      const reason = `${proxy.type} "${proxy.name}" has no session of \`zonemesh dataplane\` with this zone`
      return err({ code: 'unsupported', reason: `${reason}: its Envoy cannot be reached from here` })
    },
    open(proxy, { call, send, answers, version }) {
      const id = idOf(proxy)
      const turn = (): Promise<void> =>
        call.writableNeedDrain ? new Promise((resolve) => call.once('drain', resolve)) : Promise.resolve()
      const exchange = createExchange({ clock, send, turn, handlers: {} })
      const older = `${proxy.type} "${proxy.name}" runs version ${version}, which answers no queries: upgrade it`
      const own: Pick<Exchange, 'ask'> = answers
        ? exchange
        : { ask: async () => err({ code: 'unsupported', reason: older }) }
      exchangeById.set(id, own)
      return {
        receive: exchange.receive,
        [Symbol.dispose]() {
          if (exchangeById.get(id) === own) exchangeById.delete(id)
          exchange.close(`the session of ${proxy.type} "${proxy.name}" has ended`)
        },
      }
    },
  }
}
