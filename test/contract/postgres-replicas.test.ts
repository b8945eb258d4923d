import { afterAll, beforeAll } from 'vitest'
import { replicasContract } from './postgres-replicas.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ durable: false })
})
afterAll(() => server[Symbol.asyncDispose]())

replicasContract('PostgreSQL', () => server)
