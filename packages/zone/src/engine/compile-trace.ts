import type { Span, Traceparent, Tracer } from '@zonemesh/shared/env/trace.ts'
import { parseKeyText } from '@zonemesh/shared/resource/resource.ts'
import { causesBetween } from '@zonemesh/shared/store/causes.ts'
import type { Store } from '@zonemesh/shared/store/store.ts'

/** How many proxies of one mark have a span. The span of the compilation counts all of them. */
export const tracedProxiesMax = 20
/** How many pushes may wait for an answer. Above it, further ones have no span, so silent proxies do not fill the memory. */
const openMax = 1_000

interface Push {
  readonly serial: number
  readonly span: Span
}

/**
 * The spans of a zone from a mark to the answers of its proxies: one for the compilation, and one for each of the first
 * 20 proxies that get a new table. A push begins when the table is handed to the stream of the proxy, and ends when
 * Envoy has answered all of it.
 */
export function createCompileTrace(tracer: Tracer, store: Pick<Store, 'records'>) {
  const pushesByProxy = new Map<string, readonly Push[]>()
  let open = 0
  /** The compilation that runs now. */
  let compilation: { readonly span: Span; readonly revision: number; proxies: number; traced: number } | undefined

  function end(proxy: string, isEnded: (push: Push) => boolean, error?: string): void {
    const pushes = pushesByProxy.get(proxy)
    if (!pushes) return
    const rest = pushes.filter((push) => !isEnded(push))
    for (const push of pushes) if (!rest.includes(push)) push.span.end(error)
    open -= pushes.length - rest.length
    if (rest.length > 0) pushesByProxy.set(proxy, rest)
    else pushesByProxy.delete(proxy)
  }

  return {
    isOn: tracer.isOn,
    /** The contexts of the commits after the last compiled revision. A process that starts continues no trace. */
    causes: async (after: number, revision: number): Promise<readonly Traceparent[]> =>
      after === 0 ? [] : causesBetween(store, after, revision),
    /** Compiles a mark. Every table that is sent meanwhile belongs to it. */
    compile(causes: readonly Traceparent[], revision: number, versions: number, run: () => void): void {
      if (causes.length === 0) {
        run()
        return
      }
      const attributes = { 'zonemesh.revision': revision, 'zonemesh.versions': versions }
      const span = tracer.startWork('compile', causes, attributes)
      const current = { span, revision, proxies: 0, traced: 0 }
      compilation = current
      try {
        run()
      } catch (thrown) {
        span.end('it failed; the log has the reason')
        throw thrown
      } finally {
        compilation = undefined
        span.set({ 'zonemesh.proxies': current.proxies, 'zonemesh.proxies_traced': current.traced })
        span.end()
      }
    },
    /** A table was handed to the stream of a proxy. */
    sent(proxy: string, serial: number): void {
      if (!compilation?.span.traceparent) return
      compilation.proxies += 1
      if (compilation.traced === tracedProxiesMax || open >= openMax) return
      compilation.traced += 1
      open += 1
      const { kind, mesh } = parseKeyText(proxy)
      const span = tracer.startWork('push to a proxy', [compilation.span.traceparent], {
        'zonemesh.revision': compilation.revision,
        'zonemesh.proxy': proxy,
        'zonemesh.kind': kind,
        ...(mesh === '' ? {} : { 'zonemesh.mesh': mesh }),
      })
      pushesByProxy.set(proxy, [...(pushesByProxy.get(proxy) ?? []), { serial, span }])
    },
    /** A proxy has answered every table up to this serial. */
    served: (proxy: string, serial: number): void => end(proxy, (push) => push.serial <= serial),
    /** A proxy has refused a resource of its newest table. */
    refused: (proxy: string, resource: string): void =>
      end(proxy, () => true, `Envoy refused the resource ${JSON.stringify(resource)}`),
    gone: (proxy: string): void => end(proxy, () => true, 'the stream of the proxy closed before it answered'),
  }
}

export type CompileTrace = ReturnType<typeof createCompileTrace>
