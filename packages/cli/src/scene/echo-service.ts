import type { Server } from 'node:http'
import { type EchoIdentity, startEcho } from './echo-server.ts'

/** A service in this process that a fault can stop and pause as if it were a process. */
export interface EchoService {
  /** HOST:PORT */
  readonly address: string
  isRunning(): boolean
  /** Opens the listener. */
  start(): Promise<void>
  /** Closes the listener and all connections. */
  stop(): Promise<void>
  /** Connections stay open and requests are not answered until `resume`. */
  pause(): void
  resume(): void
}

export async function startEchoService(identity: EchoIdentity, host: string, port: number): Promise<EchoService> {
  let paused: PromiseWithResolvers<void> | undefined
  const open = () => startEcho(identity, host, port, () => paused?.promise)
  let server: Server | undefined = await open()
  function resume(): void {
    paused?.resolve()
    paused = undefined
  }
  return {
    address: `${host}:${port}`,
    isRunning: () => server !== undefined,
    async start() {
      server ??= await open()
    },
    async stop() {
      resume()
      const closing = server
      server = undefined
      closing?.closeAllConnections()
      await new Promise<void>((resolve) => (closing ? closing.close(() => resolve()) : resolve()))
    },
    pause() {
      paused ??= Promise.withResolvers()
    },
    resume,
  }
}
