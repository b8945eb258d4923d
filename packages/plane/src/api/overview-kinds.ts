/** The kinds with an insight: the name of their spec and of their insight in an overview, and their older paths. */
export const overviewKinds = [
  {
    kind: 'Dataplane',
    base: 'dataplane',
    insight: 'dataplaneInsight',
    legacy: 'dataplanes+insights',
    insights: 'dataplane-insights',
  },
  {
    kind: 'ZoneIngress',
    base: 'zoneIngress',
    insight: 'zoneIngressInsight',
    legacy: 'zoneingresses+insights',
    insights: 'zone-ingress-insights',
  },
  {
    kind: 'ZoneEgress',
    base: 'zoneEgress',
    insight: 'zoneEgressInsight',
    legacy: 'zoneegresses+insights',
    insights: 'zone-egress-insights',
  },
  { kind: 'Zone', base: 'zone', insight: 'zoneInsight', legacy: 'zones+insights', insights: 'zone-insights' },
] as const
export type OverviewKind = (typeof overviewKinds)[number]
