import type { HubCosts } from './hub.ts'

/** A constant of the model, and where it comes from. docs/scale.md lists them all. */
export interface Constant {
  readonly value: number
  readonly unit: string
  readonly source: string
}

const measured = (value: number, unit: string, source: string): Constant => ({
  ...{ value, unit, source: `measured: ${source}` },
})
const assumed = (value: number, unit: string, source: string): Constant => ({
  ...{ value, unit, source: `assumed: ${source}` },
})

/** The cost model. Measured values are of `npm run bench -- scale`, from the tables in docs/scale.md. */
export const constants = {
  frameMs: measured(0.0666, 'ms of CPU', 'a quarter of the slope of POLICY CPU less that of DATAPLANE CPU, over zones'),
  wakeMs: measured(0.0329, 'ms of CPU', 'slope of DATAPLANE CPU over zones, less its two frames'),
  policyMs: measured(7.37, 'ms of CPU', 'POLICY CPU with 10 zones, less the zones: request, admission, commit'),
  commitMs: measured(4.65, 'ms of CPU', 'DATAPLANE CPU with 10 zones, less the zones'),
  rowStoredMs: measured(0.0837, 'ms of CPU', 'UP CPU with 50,000 rows, in commits of 500 rows'),
  connectMs: measured(14.3, 'ms of CPU', 'CONNECT CPU of a zone without others: TLS, token, handshake, two commits'),
  connectOtherMs: measured(0.586, 'ms of CPU', 'growth of CONNECT CPU per zone that is already connected'),
  snapshotRowMs: measured(0.0325, 'ms of CPU', 'slope of SNAPSHOT CPU over rows'),
  baseMiB: measured(40.5, 'MiB of heap', 'HEAP with few rows and no zones'),
  zoneKiB: measured(114, 'KiB of heap', 'slope of HEAP over zones'),
  rowBytes: measured(351, 'bytes of heap', 'slope of HEAP over rows, of Dataplanes and announcements'),
  rowSentMs: assumed(0.01, 'ms of CPU', 'copying one more row into a frame'),
  entryMs: assumed(0.05, 'ms of CPU', 'the status of one zone in a bookmark of a relay costs half a frame'),
  entryBytes: assumed(24, 'bytes', 'the status of one zone in a bookmark of a relay: number, stored, served'),
  zoneStoreMs: assumed(5, 'ms', 'a zone stores a round'),
  lineMs: assumed(10, 'ms', 'one way on a line, with up to a fifth more'),
  lineMiBPerSecond: assumed(119, 'MiB/s', 'the line of a process: 1 Gbit/s'),
  heapMaxMiB: assumed(4096, 'MiB', 'the heap of a process: the default limit of Node'),
  coresMax: assumed(1, 'cores', 'a process has one thread for everything that is modelled'),
  dataplanesPerAnnouncement: assumed(50, 'Dataplanes', 'Dataplanes of a zone with the same tags'),
  policies: assumed(1_000, 'rows', 'rows of the global that every zone gets'),
  announcementShare: assumed(0.1, 'share', 'changes of an announcement; all other zones get them'),
  policyShare: assumed(0.1, 'share', 'changes of a policy; all zones get them'),
} as const satisfies Readonly<Record<string, Constant>>

/** A cost model: the value of each constant. */
export type Costs = Readonly<Record<keyof typeof constants, number>>

// The entries have exactly these keys.
export const costs = Object.fromEntries(Object.entries(constants).map(([name, { value }]) => [name, value])) as Costs

export const hubCosts = (of: Costs): HubCosts => ({
  ...of,
  lineBytesPerMs: (of.lineMiBPerSecond * 1024 * 1024) / 1_000,
})
