// The delegated gateway in compose: name-gateway-main.ts WORK_DIR_OF_SIDECAR NAME PORT_OF_NAME LISTEN_PORT.

import { claimedResolver } from '../scene/resolver.ts'
import { startNameGateway } from './name-gateway.ts'

const [workDir = '', name = '', port = '80', listen = '8082'] = process.argv.slice(2)
const server = await startNameGateway(
  { resolver: () => claimedResolver(workDir), name, port: Number(port) },
  '0.0.0.0',
  Number(listen),
)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => server.close(() => process.exit(0)))
