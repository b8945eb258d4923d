import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import { noTracer, type Tracer } from '@zonemesh/shared/env/trace.ts'
import type { Identity } from './sdk.ts'
import { readTracingSettings } from './settings.ts'

interface Deps {
  /** The variables of the process. Default: none, so nothing is traced. */
  readonly environment?: NodeJS.ProcessEnv
  readonly log: Log
  readonly clock: Pick<Clock, 'after'>
}

interface Closers {
  add(what: string, close: () => unknown): void
}

/**
 * Opens tracing as the standard variables of OpenTelemetry configure it. Without them nothing of the SDK is loaded and
 * nothing is recorded. Register this first, so that it closes last and exports the spans of the shutdown.
 */
export async function openTracing(
  { environment = {}, log, clock }: Deps,
  identity: Identity,
  closers: Closers,
): Promise<Tracer> {
  const { settings, warnings } = readTracingSettings(environment)
  for (const warning of warnings) log.warn({}, warning)
  if (!settings) return noTracer
  const { startSdk } = await import('./sdk.ts')
  const sdk = startSdk({ log, clock }, settings, identity)
  closers.add('tracing', () => sdk.close())
  log.info({ exporters: settings.exporters.join(', '), sampler: settings.sampler }, 'tracing is on')
  return sdk.tracer
}
