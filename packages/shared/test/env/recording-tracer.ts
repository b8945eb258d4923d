import {
  type Attributes,
  formatTraceparent,
  idsOf,
  type Span,
  type Traceparent,
  type Tracer,
} from '../../src/env/trace.ts'

export interface RecordedSpan {
  readonly name: string
  readonly kind: 'request' | 'work'
  readonly traceparent: Traceparent
  readonly parent: Traceparent | undefined
  readonly links: readonly Traceparent[]
  readonly attributes: Record<string, string | number | boolean>
  /** Undefined until the span ends. */
  ended: 'ok' | { readonly error: string } | undefined
}

/** A tracer that keeps every span, with ids that count up. `prefix` distinguishes the tracers of one test. */
export function createRecordingTracer(prefix = 1) {
  const spans: RecordedSpan[] = []
  const hex = (value: number, length: number) => value.toString(16).padStart(length, '0')

  function record(
    name: string,
    kind: RecordedSpan['kind'],
    causes: readonly Traceparent[],
    attributes: Attributes,
  ): Span {
    const parent = causes.at(-1)
    const number = spans.length + 1
    const traceId = parent ? idsOf(parent).traceId : `${hex(prefix, 16)}${hex(number, 16)}`
    const traceparent = formatTraceparent({ traceId, spanId: `${hex(prefix, 8)}${hex(number, 8)}`, isSampled: true })
    const links = causes.slice(0, -1)
    const span: RecordedSpan = {
      name,
      kind,
      traceparent,
      parent,
      links,
      attributes: { ...attributes },
      ended: undefined,
    }
    spans.push(span)
    return {
      traceparent,
      set: (more) => void Object.assign(span.attributes, more),
      end(error) {
        span.ended ??= error === undefined ? 'ok' : { error }
      },
    }
  }

  const tracer: Tracer = {
    isOn: true,
    startRequest: (name, caller, attributes) => record(name, 'request', caller ? [caller] : [], attributes),
    startWork: (name, causes, attributes) => {
      if (causes.length === 0) throw new Error(`a span "${name}" without a cause`)
      return record(name, 'work', causes, attributes)
    },
  }
  return { tracer, spans, named: (name: string) => spans.filter((span) => span.name === name) }
}

/** A well-formed context that differs for each number. */
export const traceparentOf = (number: number): Traceparent =>
  formatTraceparent({
    traceId: `aa${number.toString(16).padStart(30, '0')}`,
    spanId: `bb${number.toString(16).padStart(14, '0')}`,
    isSampled: true,
  })
