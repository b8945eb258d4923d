/** The largest body of one request. Clients split larger commits. */
export const bodyBytesMax = 4 * 1024 * 1024

/** The bytes of all bodies that are read at one time. A body without a length counts as the largest. Beyond it: 503. */
export const bodyBytesUnderWayMax = 128 * 1024 * 1024

/** The time for the headers of a request, and for the whole request. Beyond it: 408, checked every 5 s. */
export const headersMs = 10_000
export const requestMs = 30_000
export const slowCheckMs = 5_000

/** The bytes of all headers of a request. Beyond it: 431. */
export const headerBytesMax = 16 * 1024

/** The streams of events that a plane serves at one time. Beyond it: 503. */
export const eventStreamsMax = 64

/** How many of these streams callers without credentials may have together, so that they cannot take all of them. */
export const anonymousStreamsMax = 32

/** How often a stream of events shows that it is open. A reader that takes nothing for `eventStalledMs` is closed. */
export const eventHeartbeatMs = 15_000
export const eventStalledMs = 60_000

/** The changes that a reader of events may be behind. Beyond it, its stream ends with `resync`. */
export const eventBacklogMax = 5_000

/** The longest life of a stream of events, so that a caller whose token has expired loses its stream. */
export const eventStreamMs = 15 * 60_000
