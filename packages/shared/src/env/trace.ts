declare const traceparentBrand: unique symbol

/**
 * The context of a span in the text form of W3C: version, trace id, span id, flags. Only `parseTraceparent` and a tracer
 * make one, so such a text is always well-formed and has 55 characters.
 */
export type Traceparent = string & { readonly [traceparentBrand]: true }

/** What a span says about its work, by name. Never a secret and never a spec. */
export type Attributes = Readonly<Record<string, string | number | boolean>>

/** One piece of work that is measured. */
export interface Span {
  /** The context for what follows from this work; undefined if nothing of it is recorded. */
  readonly traceparent: Traceparent | undefined
  set(attributes: Attributes): void
  /** Ends the span. `error`: why the work failed. A second end has no effect. */
  end(error?: string): void
}

/** Tracing as a dependency. */
export interface Tracer {
  /** False if no span is ever recorded. The caller then skips reads that only spans need. */
  readonly isOn: boolean
  /** The span of a request. It continues the trace of its caller, or begins one. */
  startRequest(name: string, caller: Traceparent | undefined, attributes: Attributes): Span
  /**
   * The span of work that commits have caused: a child of the last context, with links to the others. Without a context
   * there is no span.
   */
  startWork(name: string, causes: readonly Traceparent[], attributes: Attributes): Span
}

const emptySpan = (traceparent: Traceparent | undefined): Span => ({ traceparent, set: () => {}, end: () => {} })

/** Work without a span. */
export const noSpan: Span = emptySpan(undefined)

/** Records nothing. The context of a cause passes through, so that a later process still continues its trace. */
export const noTracer: Tracer = {
  isOn: false,
  startRequest: () => noSpan,
  startWork: (_name, causes) => emptySpan(causes.at(-1)),
}

/** Runs work in a span, which ends with it. What was thrown is in the log, so the span states only that it failed. */
export async function inSpan<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await work(span)
  } catch (thrown) {
    span.end('it failed; the log has the reason')
    throw thrown
  } finally {
    span.end()
  }
}

/** How many contexts one piece of work keeps at most. The oldest are dropped. */
export const causesMax = 8

/** Adds contexts to those of the same work: each one once, the newest last. */
export function withCauses(former: readonly Traceparent[], next: readonly Traceparent[]): readonly Traceparent[] {
  if (next.length === 0) return former
  const added = new Set(next)
  return [...former.filter((one) => !added.has(one)), ...added].slice(-causesMax)
}

const form = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
/** No header of any version is longer. A longer text is not searched. */
const lengthMax = 512

/**
 * Reads the text form of W3C. Undefined if it is not well-formed. A later version is read as version 00, as W3C
 * requires.
 */
export function parseTraceparent(text: unknown): Traceparent | undefined {
  if (typeof text !== 'string' || text.length > lengthMax) return undefined
  const [, version = '', traceId = '', spanId = '', flags = '', rest] = form.exec(text) ?? []
  if (version === '' || version === 'ff' || (version === '00' && rest !== undefined)) return undefined
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return formatTraceparent({ traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/** The parts of a context. Both ids are lowercase hexadecimal. */
export interface SpanIds {
  readonly traceId: string
  readonly spanId: string
  readonly isSampled: boolean
}

/** The text form of a span. */
export const formatTraceparent = ({ traceId, spanId, isSampled }: SpanIds): Traceparent =>
  // The brand exists only in types: the text has the form that the brand stands for.
  `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}` as Traceparent

/** The parts of a text form. */
export function idsOf(traceparent: Traceparent): SpanIds {
  const [, traceId = '', spanId = '', flags] = traceparent.split('-')
  return { traceId, spanId, isSampled: flags === '01' }
}
