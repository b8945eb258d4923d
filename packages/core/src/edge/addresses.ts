/** True for addresses in 127.0.0.0/8. Proxies on one host share them, so each port must have one owner. */
export const isLoopback = (address: string): boolean => address.startsWith('127.')

/** A name in the spelling of Envoy's statistics. */
export const statName = (name: string): string => name.replaceAll(/[^a-zA-Z0-9_-]/g, '_')
