import { type Declaration, declarations, type MetricsRole } from '@zonemesh/plane/metrics/declarations.ts'
import { linkTo } from './reference-link.ts'

const head = `# Metrics

\`npm run reference\` writes this page from the declarations of the metrics. Do not edit it.

Each control plane serves its metrics under \`/metrics\` on its health port (5680), in the text format of Prometheus. A scrape reads no store
and does not depend on the number of proxies. The health port does not authenticate its callers: see ${linkTo('docs/security.md')}. The metrics
of requests through gateways are those of Envoy: \`zonemesh top\` shows them.

\`\`\`yaml
scrape_configs:
  - job_name: zonemesh
    static_configs:
      - targets: [global.example:5680, east.example:5680, west.example:5680]
\`\`\`

\`monitoring/alerts.yml\` has rules for Prometheus, and ${linkTo('docs/alerts.md')} says what to do for each alert. \`monitoring/dashboard.json\` is a
dashboard for Grafana; import it and choose a data source.

The values of a label are bounded: names of zones, templates of routes, codes and sorts. No label holds the name of a proxy, a URL or a secret.
The series of a Zone end when the Zone is deleted. Replicas of a global each show all zones as they know them, so take the maximum of a gauge
over replicas. A commit is measured only by the replica that has the session of the zone, so add the histograms of replicas.`

const chapters: readonly (readonly [string, (roles: readonly MetricsRole[]) => boolean])[] = [
  ['Every control plane', (roles) => roles.length === 3],
  ['The global', (roles) => roles.length === 1 && roles.includes('global')],
  ['Zones', (roles) => roles.length === 2],
  ['Zones under a global', (roles) => roles.length === 1 && roles.includes('zone')],
]

function rowOf([name, { type, labels, help }]: readonly [string, Declaration]): string {
  return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`
}

/** The page of all metrics: what each counts or measures, with its labels. */
export function metricsPage(): string {
  const all: readonly (readonly [string, Declaration])[] = Object.entries(declarations)
  const sections = chapters.map(([title, isHere]) => {
    const rows = all.filter(([, { roles }]) => isHere(roles)).map(rowOf)
    return `## ${title}\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n${rows.join('\n')}`
  })
  return `${[head, ...sections].join('\n\n')}\n`
}
