import { expect, test } from 'vitest'
import { readTracingSettings, samplerNames } from '../../src/tracing/settings.ts'

const otlp = { exporters: ['otlp'], sampler: 'parentbased_always_on', ratio: 1, batch: {} }
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }

test.each([
  ['no variable', {}],
  ['another variable', { OTEL_SERVICE_NAME: 'a', OTEL_TRACES_SAMPLER: 'always_on' }],
  ['an empty variable', { OTEL_TRACES_EXPORTER: '', OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }],
  ['the exporter none', { ...endpoint, OTEL_TRACES_EXPORTER: 'none' }],
  ['a disabled SDK', { ...endpoint, OTEL_TRACES_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'True' }],
])('OT6 with %s nothing is traced, and nothing is reported', (_what, environment) => {
  expect(readTracingSettings(environment)).toEqual({ settings: undefined, warnings: [] })
})

test.each([
  ['the exporter otlp', { OTEL_TRACES_EXPORTER: 'otlp' }, otlp],
  ['an endpoint', endpoint, otlp],
  ['an endpoint of traces', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://c/v1/traces' }, otlp],
  ['the exporter console', { OTEL_TRACES_EXPORTER: 'console' }, { ...otlp, exporters: ['console'] }],
  ['both exporters', { OTEL_TRACES_EXPORTER: 'otlp, console,otlp' }, { ...otlp, exporters: ['otlp', 'console'] }],
  ['an SDK that is not disabled', { ...endpoint, OTEL_SDK_DISABLED: 'false' }, otlp],
  ['the protocol of this build', { ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, otlp],
])('OT6 with %s spans are exported', (_what, environment, settings) => {
  expect(readTracingSettings(environment)).toEqual({ settings, warnings: [] })
})

test('OT6 sampler, ratio and batches are read from their variables', () => {
  for (const sampler of samplerNames)
    expect(readTracingSettings({ ...endpoint, OTEL_TRACES_SAMPLER: sampler }).settings?.sampler).toBe(sampler)
  const environment = {
    ...endpoint,
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
    OTEL_BSP_SCHEDULE_DELAY: '0',
    OTEL_BSP_EXPORT_TIMEOUT: '1000',
    OTEL_BSP_MAX_QUEUE_SIZE: '10',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '5',
  }
  const batch = { scheduledDelayMillis: 0, exportTimeoutMillis: 1000, maxQueueSize: 10, maxExportBatchSize: 5 }
  expect(readTracingSettings(environment)).toEqual({
    settings: { ...otlp, sampler: 'parentbased_traceidratio', ratio: 0.25, batch },
    warnings: [],
  })
})

test.each([
  ['OTEL_TRACES_EXPORTER', 'zipkin', 'expected otlp, console or none, found "zipkin", which exports nothing'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'user:pass@host', 'expected a URL such as http://localhost:4318, found another text'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc', 'expected http/protobuf, found "grpc": no span is exported'],
  ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'http/json', 'expected http/protobuf, found "http/json"'],
])('OT6 %s=%s traces nothing and is reported', (name, value, warning) => {
  const { settings, warnings } = readTracingSettings({ ...endpoint, [name]: value })
  expect(settings).toBeUndefined()
  expect(warnings).toEqual([expect.stringContaining(`${name}: ${warning}`)])
  expect(warnings.join()).not.toContain('pass@')
})

test.each([
  ['OTEL_TRACES_SAMPLER', 'sometimes', {}],
  ['OTEL_TRACES_SAMPLER_ARG', '2', { OTEL_TRACES_SAMPLER: 'traceidratio' }],
  ['OTEL_TRACES_SAMPLER_ARG', 'half', { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio' }],
  ['OTEL_BSP_SCHEDULE_DELAY', '-1', {}],
  ['OTEL_BSP_EXPORT_TIMEOUT', 'soon', {}],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '0', {}],
  ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '1e99', {}],
])('OT6 %s=%s is reported, and the default counts', (name, value, others) => {
  const { settings, warnings } = readTracingSettings({ ...endpoint, ...others, [name]: value })
  expect(warnings).toEqual([expect.stringMatching(new RegExp(`^${name}: expected .*, found "${value}"$`))])
  expect(settings).toMatchObject({ exporters: ['otlp'], ratio: 1, batch: {} })
})
