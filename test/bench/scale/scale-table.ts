/** One row of the first table: a global with so many connected zones. CPU is of the whole process of the global. */
export interface ZonesResult {
  readonly zones: number
  /** Seconds of CPU per second without changes, in percent of a core. */
  readonly idlePercent: number
  /** CPU of one change of a policy, which every zone gets, and of one Dataplane, which no other zone gets. */
  readonly policyMs: number
  readonly dataplaneMs: number
  /** Bytes of messages of one change of a policy, per zone. */
  readonly policyBytesOut: number
  readonly policyBytesIn: number
  /** Bytes of messages of one change of a Dataplane, per zone that does not get it. */
  readonly dataplaneBytesOut: number
  readonly idleBytesPerSecond: number
  readonly connectMs: number
  readonly heapMiB: number
  readonly residentMiB: number
}

/** One row of the second table: so many Dataplanes and as many announcements are stored. */
export interface RowsResult {
  readonly rows: number
  readonly upMicroseconds: number
  readonly upBytes: number
  readonly relayedBytes: number
  readonly snapshotCpuMs: number
  readonly snapshotMs: number
  readonly snapshotMiB: number
  readonly heapMiB: number
  readonly residentMiB: number
}

/** The columns of the two tables. docs/scale.md has the same. */
export const zonesColumns = [
  'ZONES',
  'IDLE CPU %',
  'POLICY CPU ms',
  'DATAPLANE CPU ms',
  'POLICY OUT B/zone',
  'POLICY IN B/zone',
  'DATAPLANE OUT B/zone',
  'IDLE B/s/zone',
  'CONNECT CPU ms/zone',
  'HEAP MiB',
  'RSS MiB',
] as const

export const rowsColumns = [
  'ROWS',
  'UP CPU µs/row',
  'UP B/row',
  'RELAYED B/row',
  'SNAPSHOT CPU ms',
  'SNAPSHOT ms',
  'SNAPSHOT MiB',
  'HEAP MiB',
  'RSS MiB',
] as const

const shown = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)

export const zonesCells = (result: ZonesResult): readonly string[] => [
  String(result.zones),
  ...[result.idlePercent, result.policyMs, result.dataplaneMs].map(shown),
  ...[result.policyBytesOut, result.policyBytesIn, result.dataplaneBytesOut, result.idleBytesPerSecond].map(shown),
  ...[result.connectMs, result.heapMiB, result.residentMiB].map(shown),
]

export const rowsCells = (result: RowsResult): readonly string[] => [
  String(result.rows),
  ...[result.upMicroseconds, result.upBytes, result.relayedBytes].map(shown),
  ...[result.snapshotCpuMs, result.snapshotMs, result.snapshotMiB, result.heapMiB, result.residentMiB].map(shown),
]
