/** What the standard variables of OpenTelemetry configure. The exporter reads its own: endpoint, headers, timeout. */
export interface TracingSettings {
  readonly exporters: readonly ExporterName[]
  readonly sampler: SamplerName
  /** The share of the traces that a sampler by ratio records. */
  readonly ratio: number
  /** Absent: the default of the SDK. */
  readonly batch: Readonly<Partial<Record<BatchSetting, number>>>
}

export const samplerNames = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const
export type SamplerName = (typeof samplerNames)[number]
export type ExporterName = 'otlp' | 'console'
export type BatchSetting = 'scheduledDelayMillis' | 'exportTimeoutMillis' | 'maxQueueSize' | 'maxExportBatchSize'

const batchVariables = {
  scheduledDelayMillis: ['OTEL_BSP_SCHEDULE_DELAY', 0],
  exportTimeoutMillis: ['OTEL_BSP_EXPORT_TIMEOUT', 1],
  maxQueueSize: ['OTEL_BSP_MAX_QUEUE_SIZE', 1],
  maxExportBatchSize: ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 1],
} as const satisfies Record<BatchSetting, readonly [name: string, min: number]>

const endpointNames = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'] as const
const protocolNames = ['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', 'OTEL_EXPORTER_OTLP_PROTOCOL'] as const
const protocol = 'http/protobuf'

interface Reading {
  /** Undefined: nothing is traced. */
  readonly settings: TracingSettings | undefined
  /** Sentences about variables with a wrong value. */
  readonly warnings: readonly string[]
}

/**
 * Reads the variables. An empty one counts as unset. A wrong value never prevents a start: it is reported, and its
 * default counts. If spans could not be exported, nothing is traced.
 */
export function readTracingSettings(environment: Readonly<Record<string, string | undefined>>): Reading {
  const read = (name: string) => environment[name]?.trim() || undefined
  if (read('OTEL_SDK_DISABLED')?.toLowerCase() === 'true') return { settings: undefined, warnings: [] }
  const warnings: string[] = []
  const exporters = exportersOf(read, warnings)
  if (exporters.length === 0) return { settings: undefined, warnings }
  const sampler = samplerOf(read, warnings)
  const ratio = sampler.endsWith('ratio') ? ratioOf(read, warnings) : 1
  const batch: Partial<Record<BatchSetting, number>> = {}
  for (const setting of [
    'scheduledDelayMillis',
    'exportTimeoutMillis',
    'maxQueueSize',
    'maxExportBatchSize',
  ] as const) {
    const [name, min] = batchVariables[setting]
    const value = numberOf(name, read(name), { min, what: `a whole number from ${min}` }, warnings)
    if (value !== undefined) batch[setting] = value
  }
  return { settings: { exporters, sampler, ratio, batch }, warnings }
}

type Read = (name: string) => string | undefined

function exportersOf(read: Read, warnings: string[]): readonly ExporterName[] {
  const given = read('OTEL_TRACES_EXPORTER')
  const names = given?.split(',').map((name) => name.trim()) ?? (endpointNames.some(read) ? ['otlp'] : [])
  const exporters = new Set<ExporterName>()
  for (const name of names) {
    if (name === 'console' || (name === 'otlp' && isReachable(read, warnings))) exporters.add(name)
    else if (name !== 'none' && name !== 'otlp')
      warnings.push(`OTEL_TRACES_EXPORTER: expected otlp, console or none, found "${name}", which exports nothing`)
  }
  return [...exporters]
}

/** Whether the exporter understands the endpoint and the protocol. The value of an endpoint may contain a password. */
function isReachable(read: Read, warnings: string[]): boolean {
  const endpoint = endpointNames.find(read)
  if (endpoint && !/^https?:\/\/./.test(read(endpoint) ?? '')) {
    warnings.push(`${endpoint}: expected a URL such as http://localhost:4318, found another text: no span is exported`)
    return false
  }
  const named = protocolNames.find(read)
  const found = named && read(named)
  if (found === undefined || found === protocol) return true
  warnings.push(`${named}: expected ${protocol}, found "${found}": no span is exported`)
  return false
}

function samplerOf(read: Read, warnings: string[]): SamplerName {
  const given = read('OTEL_TRACES_SAMPLER')
  const known = samplerNames.find((name) => name === given)
  if (given !== undefined && !known)
    warnings.push(`OTEL_TRACES_SAMPLER: expected one of ${samplerNames.join(', ')}, found "${given}"`)
  return known ?? 'parentbased_always_on'
}

function ratioOf(read: Read, warnings: string[]): number {
  const name = 'OTEL_TRACES_SAMPLER_ARG'
  const text = read(name)
  const value = Number(text ?? 1)
  if (value >= 0 && value <= 1) return value
  warnings.push(`${name}: expected a number from 0 to 1, found "${text}"`)
  return 1
}

function numberOf(
  name: string,
  text: string | undefined,
  { min, what }: { readonly min: number; readonly what: string },
  warnings: string[],
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  // Node's timers take no longer time.
  if (Number.isInteger(value) && value >= min && value <= 2_147_483_647) return value
  warnings.push(`${name}: expected ${what}, found "${text}"`)
  return undefined
}
