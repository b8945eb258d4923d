import { connect, createServer, type Socket } from 'node:net'
import type { Clock } from '@zonemesh/shared/env/clock.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { z } from 'zod'
import { createPipe, type Lane } from './pipe.ts'

/** `up` is from the connecting side (a zone) to the listening side (the global). */
export const directions = ['up', 'down'] as const
export type Direction = (typeof directions)[number]

/** The faults of a line. */
export const lineFaults = z.strictObject({
  /** Bytes and connection ends in these directions wait until the fault is removed; neither side is notified. */
  blackHole: z.array(z.enum(directions)).default([]),
  delayMs: z.number().min(0).max(60_000).default(0),
  jitterMs: z.number().min(0).max(60_000).default(0),
  /**
   * How many of a hundred packets are lost. A program never sees that: TCP sends them again after a time-out, so the bytes
   * wait for it, longer each time that they are lost again.
   */
  lossPercent: z.number().min(0).max(90).default(0),
  /** The rate of each direction, shared by all connections. */
  bytesPerSecond: z.number().min(1).optional(),
  /** Acts as a balancer that keeps its side open: when one side of a connection ends, the other side is not closed. */
  halfOpen: z.boolean().default(false),
})
export type LineFaults = z.infer<typeof lineFaults>
export const noFaults: LineFaults = lineFaults.parse({})

export interface RelayCounters {
  readonly connections: number
  readonly open: number
  /** Connections of which one side has ended while the other is still open. */
  readonly halfOpen: number
  readonly bytes: Readonly<
    Record<
      Direction,
      { readonly passed: number; readonly waiting: number; readonly lost: number; readonly retransmitted: number }
    >
  >
}

export interface Relay extends AsyncDisposable {
  readonly port: number
  counters(): RelayCounters
  faults(): LineFaults
  /** Replaces the faults. Bytes that waited in a black hole are then sent, as after a partition. */
  set(faults: LineFaults): void
  /** Resets every open connection. */
  cut(): void
}

interface Deps {
  readonly clock: Clock
  readonly random: Random
}

interface Line {
  pump(): void
  destroy(): void
  isHalfOpen(): boolean
}

/**
 * Relays a TCP line and injects faults on demand; for tests only. It handles bytes, not messages: TLS passes unchanged,
 * and bytes arrive in order or not at all.
 */
export async function startRelay(
  deps: Deps,
  options: { readonly host: string; readonly port: number; readonly targetHost: string; readonly targetPort: number },
): Promise<Relay> {
  let current = noFaults
  let connections = 0
  const lines = new Set<Line>()
  const lane = (direction: Direction): Lane => ({
    freeAtMs: 0,
    passed: 0,
    waiting: 0,
    lost: 0,
    isClosed: () => current.blackHole.includes(direction),
    retransmitted: 0,
    delayMs: () => current.delayMs + deps.random.fraction() * current.jitterMs,
    isLost: () => current.lossPercent > 0 && deps.random.fraction() * 100 < current.lossPercent,
    bytesPerSecond: () => current.bytesPerSecond,
  })
  const lanes = { up: lane('up'), down: lane('down') }

  function accept(client: Socket): void {
    connections += 1
    const server = connect({ host: options.targetHost, port: options.targetPort, allowHalfOpen: true })
    const sides = [client, server]
    for (const socket of sides) socket.setNoDelay(true)
    const up = createPipe(deps.clock, lanes.up, client, server)
    const down = createPipe(deps.clock, lanes.down, server, client)
    let ended = 0
    const line: Line = {
      pump() {
        up.pump()
        down.pump()
      },
      destroy() {
        lines.delete(line)
        up.destroy()
        down.destroy()
        for (const socket of sides) socket.resetAndDestroy()
      },
      isHalfOpen: () => ended === 1,
    }
    lines.add(line)
    const closeSide = (other: Socket, rest: typeof up, back: typeof up) => {
      ended += 1
      if (ended === 2) {
        line.destroy()
        return
      }
      if (current.halfOpen) return back.swallow()
      // Bytes sent before the end still arrive. In a black hole the end waits like any byte.
      rest.whenEmpty(() => other.end())
    }
    client.on('error', () => undefined)
    server.on('error', () => undefined)
    client.on('close', () => closeSide(server, up, down))
    server.on('close', () => closeSide(client, down, up))
    client.on('end', () => void (current.halfOpen || up.whenEmpty(() => server.end())))
    server.on('end', () => void (current.halfOpen || down.whenEmpty(() => client.end())))
  }

  const listener = createServer({ allowHalfOpen: true }, accept)
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(options.port, options.host, resolve)
  })
  const address = listener.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    counters: () => ({
      connections,
      open: lines.size,
      halfOpen: [...lines].filter((line) => line.isHalfOpen()).length,
      bytes: { up: bytesOf(lanes.up), down: bytesOf(lanes.down) },
    }),
    faults: () => current,
    set(faults) {
      const wasHalfOpen = current.halfOpen && !faults.halfOpen
      current = faults
      for (const one of [lanes.up, lanes.down]) one.freeAtMs = 0
      for (const line of lines) {
        // When a balancer drops a dead connection, it also closes the other side.
        if (wasHalfOpen && line.isHalfOpen()) line.destroy()
        else line.pump()
      }
    },
    cut() {
      for (const line of [...lines]) line.destroy()
    },
    async [Symbol.asyncDispose]() {
      for (const line of [...lines]) line.destroy()
      await new Promise((resolve) => listener.close(resolve))
    },
  }
}

const bytesOf = ({ passed, waiting, lost, retransmitted }: Lane) => ({ passed, waiting, lost, retransmitted })
