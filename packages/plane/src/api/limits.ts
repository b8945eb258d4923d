/** The most that a control plane takes in one request; clients ask before they send. */
export const bodyBytesMax = 4 * 1024 * 1024

/** Bodies that are being read, together; one without a length counts as the largest. The next one is answered 503, to come again. */
export const bodyBytesUnderWayMax = 128 * 1024 * 1024

/** Time for the headers of a request, and for all of it; who takes longer gets 408. Looked at every 5 s. */
export const headersMs = 10_000
export const requestMs = 30_000
export const lookForSlowMs = 5_000

/** All headers of a request together; more is answered 431. */
export const headerBytesMax = 16 * 1024
