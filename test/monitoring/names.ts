import { type Declaration, declarations } from '@zonemesh/plane/metrics/declarations.ts'

const byName: ReadonlyMap<string, Declaration> = new Map(Object.entries(declarations))

/** The names of our metrics in an expression. Series of histograms end with `_bucket`, `_sum` or `_count`. */
export const metricsIn = (expression: string): readonly string[] =>
  [...expression.matchAll(/\b(?:zonemesh|nodejs|process)_[a-z_]+\b/g)].map(([name]) => {
    const [, histogram = ''] = /^(.*)_(?:bucket|sum|count)$/.exec(name) ?? []
    return byName.get(histogram)?.type === 'histogram' ? histogram : name
  })

/** What an expression uses that is not declared: metrics, labels of their selectors, and labels that it groups by. */
export function undeclaredIn(expression: string): readonly string[] {
  const names = metricsIn(expression)
  const unknown = names.filter((name) => !byName.has(name))
  // Prometheus adds these labels to all series.
  const known = new Set(['job', 'instance', 'le', ...names.flatMap((name) => byName.get(name)?.labels ?? [])])
  const inSelectors = [...expression.matchAll(/\{([^}]*)\}/g)].flatMap(([, inside = '']) =>
    [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = '']) => label),
  )
  const grouped = [...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, inside = '']) => inside.split(', '))
  return [...unknown, ...[...inSelectors, ...grouped].filter((label) => !known.has(label))]
}
