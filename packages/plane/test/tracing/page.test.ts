import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const textOf = (path: string) => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8')
const page = textOf('docs/tracing.md')
const sources = [
  'packages/plane/src/tracing/settings.ts',
  'packages/plane/src/api/traced.ts',
  'packages/shared/src/sync/applications.ts',
  'packages/zone/src/engine/compile-trace.ts',
].map(textOf)
const foundIn = (text: string, pattern: RegExp) => new Set([...text.matchAll(pattern)].map(([, found]) => found))

test('OT14 docs/tracing.md lists every variable that the planes read themselves', () => {
  const read = foundIn(sources.join('\n'), /'(OTEL_\w+)'/g)
  expect(read.size).toBeGreaterThan(10)
  expect([...read].filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})

test('OT14 docs/tracing.md lists every span and its attributes', () => {
  const spans = foundIn(sources.join('\n'), /startWork\('([^']+)'/g)
  const attributes = foundIn(sources.join('\n'), /'((?:zonemesh|http)\.[\w.]+)'/g)
  expect([...spans].sort()).toEqual(['apply a round', 'commit', 'compile', 'push to a proxy'])
  expect(attributes.size).toBeGreaterThan(10)
  expect([...spans, ...attributes].filter((name) => !page.includes(`\`${name}\``))).toEqual([])
})
