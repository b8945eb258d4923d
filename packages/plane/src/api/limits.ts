/** The most that a control plane takes in one request; clients ask before they send. */
export const bodyBytesMax = 4 * 1024 * 1024
