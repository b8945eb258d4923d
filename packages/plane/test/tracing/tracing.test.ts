import { execFileSync } from 'node:child_process'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { expect, test } from 'vitest'
import { createClosers } from '../../src/lifecycle.ts'
import { openTracing } from '../../src/tracing/tracing.ts'

const identity = { service: 'zonemesh-global', instance: 'host-1', attributes: {} }

/** Opens tracing in a process of its own, and prints which packages of OpenTelemetry it has loaded. */
const program = (environment: object) => `
  import { registerHooks } from 'node:module'
  const loaded = new Set()
  registerHooks({
    resolve(specifier, context, next) {
      const found = /@opentelemetry\\/[a-z-]+/.exec(specifier)
      if (found) loaded.add(found[0])
      return next(specifier, context)
    },
  })
  const { openTracing } = await import(${JSON.stringify(import.meta.resolve('../../src/tracing/tracing.ts'))})
  const log = { warn() {}, info() {} }
  const clock = { after: () => ({ [Symbol.dispose]() {} }) }
  const tracer = await openTracing({ environment: ${JSON.stringify(environment)}, log, clock }, ${JSON.stringify(identity)}, { add() {} })
  console.log(JSON.stringify({ isOn: tracer.isOn, loaded: [...loaded] }))
  process.exit()
`
const loadedBy = (environment: object): { readonly isOn: boolean; readonly loaded: readonly string[] } =>
  JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program(environment)], { encoding: 'utf8' }))

test('OT7 nothing of OpenTelemetry is loaded unless the variables turn tracing on', () => {
  expect(loadedBy({})).toEqual({ isOn: false, loaded: [] })
  expect(loadedBy({ OTEL_TRACES_EXPORTER: 'none' })).toEqual({ isOn: false, loaded: [] })
  const on = loadedBy({ OTEL_TRACES_EXPORTER: 'otlp' })
  expect(on.isOn).toBe(true)
  expect(on.loaded).toContain('@opentelemetry/sdk-trace')
})

test('OT6 a wrong variable is in the log, and the plane starts without tracing', async () => {
  const warnings: string[] = []
  const log = { ...silentLog, warn: (_fields: object, message: string) => void warnings.push(message) }
  const environment = { OTEL_TRACES_EXPORTER: 'jaeger' }
  const clock = createVirtualClock()
  const tracer = await openTracing({ environment, log, clock }, identity, createClosers(log))
  expect(tracer.isOn).toBe(false)
  expect(warnings).toEqual([
    'OTEL_TRACES_EXPORTER: expected otlp, console or none, found "jaeger", which exports nothing',
  ])
})
