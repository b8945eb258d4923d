/** What a global measures of its zones. All calls are about zones with a valid token. */
export interface SyncObserver {
  /** A zone reports a mark of the global as stored or served for the first time, by our clock since its commit. */
  reached(zone: string, level: 'stored' | 'served', delayMs: number): void
  /** A zone reports that it has stored or served more than before, up to this revision of the global. */
  progressed(zone: string, level: 'stored' | 'served', revision: number): void
  /** A zone begins to hold a change. */
  held(zone: string): void
  connected(zone: string, isReconnect: boolean): void
  /** A session of the zone was refused. */
  refused(zone: string): void
  /** A caller was refused before it had a zone: its token or its Zone is not accepted. */
  callerRefused(): void
}

export const nothingObserved: SyncObserver = {
  reached() {},
  progressed() {},
  held() {},
  connected() {},
  refused() {},
  callerRefused() {},
}
