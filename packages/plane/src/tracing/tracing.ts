import { noTracer, type Tracer } from '@zonemesh/shared/env/trace.ts'
import type { Closers, Env } from '../lifecycle.ts'
import type { Identity } from './sdk.ts'
import { readTracingSettings } from './settings.ts'

/**
 * Opens tracing as the standard variables of OpenTelemetry configure it. Without them nothing of the SDK is loaded and
 * nothing is recorded. Register this first, so that it closes last and exports the spans of the shutdown.
 */
export async function openTracing(
  { environment = {}, log, clock }: Pick<Env, 'environment' | 'log' | 'clock'>,
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
