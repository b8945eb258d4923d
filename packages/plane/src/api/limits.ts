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
