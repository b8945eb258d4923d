import { err, type JsonObject, ok } from '@zonemesh/shared/base/base.ts'
import type { QueryHandlers } from '@zonemesh/shared/query/exchange.ts'
import type { RunningEnvoy } from './run.ts'

/**
 * The parts of Envoy's admin interface that the zone may read. It never chooses a path itself, because some paths change
 * Envoy.
 */
const pathOf: Readonly<Record<string, (request: JsonObject) => string>> = {
  xds: ({ includeEds }) => `/config_dump${includeEds === true ? '?include_eds' : ''}`,
  stats: ({ json, all }) => `/stats${queryOf(json === true && 'format=json', all !== true && 'usedonly')}`,
  clusters: ({ json }) => `/clusters${queryOf(json === true && 'format=json')}`,
  listeners: ({ json }) => `/listeners${queryOf(json === true && 'format=json')}`,
}

const queryOf = (...parts: readonly (string | false)[]): string => {
  const chosen = parts.filter((part) => part !== false)
  return chosen.length === 0 ? '' : `?${chosen.join('&')}`
}

/** What this data plane answers to its zone: `envoy` reads one view of Envoy's admin interface as text. */
export function adminQueries(envoy: () => Pick<RunningEnvoy, 'admin'> | undefined): QueryHandlers {
  return {
    async envoy(request) {
      const { view } = request
      const path = typeof view === 'string' && Object.hasOwn(pathOf, view) ? pathOf[view] : undefined
      if (!path) return err(`expected a view of ${Object.keys(pathOf).join(', ')}, found ${JSON.stringify(view)}`)
      const running = envoy()
      if (!running) return err('Envoy has not started yet')
      const text = await running.admin(path(request), 'GET')
      return ok({ text: view === 'xds' ? withoutTokens(text) : text })
    },
  }
}

/**
 * Envoy hides private keys in its dump itself. The token of this proxy is in the bootstrap, in the initial metadata
 * of the stream.
 */
function withoutTokens(text: string): string {
  const dump: unknown = JSON.parse(text)
  redact(dump)
  return JSON.stringify(dump)
}

function redact(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const [field, inner] of Object.entries(value)) {
    if (field === 'initial_metadata' && Array.isArray(inner)) inner.forEach(redactHeader)
    else redact(inner)
  }
}

function redactHeader(header: unknown): void {
  if (typeof header === 'object' && header !== null && 'value' in header) header.value = '[redacted]'
}
