// The demo's service as a separate process: echo-main.ts SERVICE ZONE VERSION PORT. It listens on loopback, so that it
// is reachable only through its sidecar, and so that the sidecar can use the same port on its virtual addresses.
import { startEcho } from './echo-server.ts'

const [service = 'echo', zone = '', version = '', port = '8080'] = process.argv.slice(2)
const server = await startEcho({ service, zone, version }, '127.0.0.1', Number(port))
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.close(() => process.exit(0)))
