// npm run bench [-- sync] [-- --short] [-- --out FILE]: the figures of this machine, as a table and as JSON. Without a word those of
// a mesh with its Envoys; with `sync` those of what goes between the global and the zones. Exits 0 when it measured.
await import(process.argv[2] === 'sync' ? './sync/sync-main.ts' : './mesh-main.ts')
