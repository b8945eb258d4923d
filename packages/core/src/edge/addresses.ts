/** True in 127.0.0.0/8: two proxies of one host can meet there, so a port must have one owner. */
export const isLoopback = (address: string): boolean => address.startsWith('127.')

/** A name as Envoy's statistics bear it. */
export const statName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_-]/g, '_')
