import type { Commit } from '@zonemesh/shared/store/store.ts'

/**
 * Switches that break a part of the mesh on purpose, to prove that a judge sees it. They stand in the simulator's own disks, lines
 * and clocks; no product code knows of them.
 */
export interface Sabotage {
  /** What a disk really writes. */
  readonly commit?: (plane: string, commit: Commit) => Commit
  /** What a line really carries, from the global to a zone. */
  readonly down?: (bytes: Uint8Array, zone: string) => readonly Uint8Array[]
  /** What the newest mark of the global's disk is said to be is the one of so long ago. */
  readonly staleMarks?: true
  /** How long addresses of zones are really kept. */
  readonly quarantineMs?: number
  /** Zones give out any number, also those of their lost stores. */
  readonly grantsNothing?: boolean
  /** A zone serves any rows that it has, however few. */
  readonly servesAnything?: true
  /** Rows that stop the event loop of a zone whenever they are compiled. */
  readonly stallsOn?: (key: string) => boolean
}
