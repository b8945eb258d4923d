// The demo's service as a process of its own: echo-main.ts SERVICE ZONE VERSION PORT.
import { startEcho } from './echo-server.ts'

const [service = 'echo', zone = '', version = '', port = '8080'] = process.argv.slice(2)
const server = await startEcho({ service, zone, version }, '0.0.0.0', Number(port))
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.close(() => process.exit(0)))
