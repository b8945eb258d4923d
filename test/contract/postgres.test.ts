import { afterAll, beforeAll } from 'vitest'
import { postgresContract } from './postgres.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ durable: false })
})
afterAll(() => server[Symbol.asyncDispose]())

postgresContract('PostgreSQL', () => server, { asZone: true })
