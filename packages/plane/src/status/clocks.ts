/** If clocks differ by more, certificates and tokens are refused and shown times are wrong. */
export const clockDifferenceMaxMs = 30_000

/** The field of a status that warns about the clock of a peer; empty while the clocks agree. */
export const clockWarning = (aheadMs: number): { readonly clockAheadMs?: number } =>
  Math.abs(aheadMs) > clockDifferenceMaxMs ? { clockAheadMs: aheadMs } : {}
