import type { Commit } from '@zonemesh/shared/store/store.ts'

/**
 * Switches that break a part of the mesh on purpose, to prove that a judge detects it. They are in the simulator's own
 * disks, lines and clocks; product code does not contain them.
 */
export interface Sabotage {
  /** The commit that a disk writes instead. */
  readonly commit?: (plane: string, commit: Commit) => Commit
  /** The bytes that a line carries instead, from the global to a zone. */
  readonly down?: (bytes: Uint8Array, zone: string) => readonly Uint8Array[]
  /** The global's disk reports an old mark as its newest one. */
  readonly staleMarks?: true
  /** The quarantine of addresses that zones use instead. */
  readonly quarantineMs?: number
  /** Zones assign any number, including those of their lost stores. */
  readonly grantsNothing?: boolean
  /** A zone serves its rows even if they are incomplete. */
  readonly servesAnything?: true
  /** Rows that stop the event loop of a zone whenever they are compiled. */
  readonly stallsOn?: (key: string) => boolean
}
