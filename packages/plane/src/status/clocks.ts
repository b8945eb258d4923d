/** Certificates, tokens and times that people see go wrong when clocks differ by more. */
export const clockDifferenceMaxMs = 30_000

/** The part of a status that warns of the clock of a peer: empty while the clocks agree well enough. */
export const clockWarning = (aheadMs: number): { readonly clockAheadMs?: number } =>
  Math.abs(aheadMs) > clockDifferenceMaxMs ? { clockAheadMs: aheadMs } : {}
