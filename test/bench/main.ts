// npm run bench [-- sync | gateway | fleet | scale] [-- --short] [-- --out FILE]: the figures of this machine, as a table and as JSON. Without a word those of
// a mesh with its Envoys; with `sync` those of what goes between the global and the zones, with `gateway` those of the gateway's
// requests and tables, with `fleet` those of replicas over PostgreSQL, with and without Redis, with `scale` those of
// zones, changes and rows at one global. Exits 0 when it measured.
const mains: Readonly<Record<string, string>> = {
  sync: './sync/sync-main.ts',
  gateway: './gateway/gateway-main.ts',
  fleet: './fleet/fleet-main.ts',
  scale: './scale/scale-main.ts',
}
// Whatever a measure has started ends with this process.
process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(143))
await import(mains[process.argv[2] ?? ''] ?? './mesh-main.ts')
