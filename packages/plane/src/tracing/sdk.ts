import {
  type Context,
  type Attributes as OtelAttributes,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  type Resource,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ConsoleSpanExporter,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import {
  type Attributes,
  formatTraceparent,
  idsOf,
  type Span,
  type Traceparent,
  type Tracer,
} from '@zonemesh/shared/env/trace.ts'
import type { ExporterName, SamplerName, TracingSettings } from './settings.ts'

interface Deps {
  readonly log: Log
  readonly clock: Pick<Clock, 'after'>
}

/** Whose spans these are. */
export interface Identity {
  /** The name of the service, unless OTEL_SERVICE_NAME has another. */
  readonly service: string
  /** The name of this process. */
  readonly instance: string
  /** Attributes of every span. */
  readonly attributes: Attributes
}

export interface RunningSdk {
  readonly tracer: Tracer
  /** Exports what is recorded, for at most 2 s. */
  close(): Promise<void>
}

const closeWithinMs = 2_000

/**
 * Tracing with the SDK of OpenTelemetry. Spans are exported in batches in the background. A queue with a limit lies
 * between, so a receiver that is slow or absent delays nothing: its spans are dropped. `exporters` replaces those of the
 * settings in tests. Nothing is registered globally.
 */
export function startSdk(
  { log, clock }: Deps,
  settings: TracingSettings,
  identity: Identity,
  exporters: readonly SpanExporter[] = settings.exporters.map((name) => exporterOf[name]()),
): RunningSdk {
  const provider = new TracerProvider({
    resource: resourceOf(identity),
    sampler: samplerOf[settings.sampler](settings.ratio),
    spanProcessors: exporters.map(
      (exporter) => new BatchSpanProcessor({ ...settings.batch, exporter: reported(exporter, log) }),
    ),
  })
  const own = provider.getTracer('zonemesh', version)
  const spanOf = (name: string, kind: SpanKind, causes: readonly Traceparent[], attributes: Attributes): Span => {
    const parent = causes.at(-1)
    const options = {
      kind,
      attributes: { ...identity.attributes, ...attributes },
      links: causes.slice(0, -1).map((cause) => ({ context: contextOf(cause) })),
    }
    return adapt(own.startSpan(name, options, parent === undefined ? ROOT_CONTEXT : within(parent)))
  }
  return {
    tracer: {
      isOn: true,
      startRequest: (name, caller, attributes) =>
        spanOf(name, SpanKind.SERVER, caller === undefined ? [] : [caller], attributes),
      startWork: (name, causes, attributes) =>
        causes.length === 0 ? adapt(undefined) : spanOf(name, SpanKind.INTERNAL, causes, attributes),
    },
    async close() {
      // A receiver that does not answer was reported when it failed.
      const exported = provider.shutdown().catch(() => undefined)
      const { promise: late, resolve } = Promise.withResolvers<void>()
      using _timer = clock.after(closeWithinMs, resolve)
      await Promise.race([exported, late])
    },
  }
}

const exporterOf: Readonly<Record<ExporterName, () => SpanExporter>> = {
  // Without options it reads the standard variables.
  otlp: () => new OTLPTraceExporter(),
  console: () => new ConsoleSpanExporter(),
}

const samplerOf: Readonly<Record<SamplerName, (ratio: number) => Sampler>> = {
  always_on: () => new AlwaysOnSampler(),
  always_off: () => new AlwaysOffSampler(),
  traceidratio: (ratio) => new TraceIdRatioBasedSampler(ratio),
  parentbased_always_on: () => new ParentBasedSampler({ root: new AlwaysOnSampler() }),
  parentbased_always_off: () => new ParentBasedSampler({ root: new AlwaysOffSampler() }),
  parentbased_traceidratio: (ratio) => new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
}

/** The variables OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over our own values. */
const resourceOf = ({ service, instance, attributes }: Identity): Resource =>
  defaultResource()
    .merge(
      resourceFromAttributes({
        ...attributes,
        'service.name': service,
        'service.version': version,
        'service.instance.id': instance,
      }),
    )
    .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }))

/** Reports once that spans cannot be exported, and once that they can be again. */
function reported(exporter: SpanExporter, log: Log): SpanExporter {
  let isFailing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        // 0 is the code of success.
        const failed = result.code !== 0
        if (failed && !isFailing) {
          const reason = result.error ? messageOf(result.error) : 'unknown'
          log.warn(
            { reason },
            'cannot export spans: they are dropped until the receiver takes them; nothing else waits',
          )
        }
        if (!failed && isFailing) log.info({}, 'spans are exported again')
        isFailing = failed
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
  }
}

/** A span that is not recorded has no context for others, so its trace ends here. */
function adapt(span: OtelSpan | undefined): Span {
  let isEnded = false
  return {
    traceparent: span && traceparentOf(span.spanContext()),
    set(attributes) {
      span?.setAttributes(attributes satisfies OtelAttributes)
    },
    end(error) {
      if (isEnded) return
      isEnded = true
      if (error !== undefined) span?.setStatus({ code: SpanStatusCode.ERROR, message: error })
      span?.end()
    },
  }
}

const traceparentOf = ({ traceId, spanId, traceFlags }: SpanContext): Traceparent | undefined =>
  (traceFlags & TraceFlags.SAMPLED) === 0 ? undefined : formatTraceparent({ traceId, spanId, isSampled: true })

function contextOf(traceparent: Traceparent): SpanContext {
  const { traceId, spanId, isSampled } = idsOf(traceparent)
  return { traceId, spanId, traceFlags: isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE, isRemote: true }
}

const within = (parent: Traceparent): Context => trace.setSpanContext(ROOT_CONTEXT, contextOf(parent))
