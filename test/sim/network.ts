import { err, ok } from '@zonemesh/shared/base/base.ts'
import type { Channel, ChannelEnd, Dialer, Listen, Listening, OnCall } from '@zonemesh/shared/transport/transport.ts'
import type { Sabotage } from './sabotage.ts'
import type { Process, World } from './world.ts'

/** The present state of the line between a zone and the globals. */
export interface Link {
  /**
   * Nothing passes in these directions. Messages are delivered when the line is restored, unless the connection has
   * ended by then.
   */
  down: boolean
  up: boolean
  latencyMs: number
  jitterMs: number
  /** Bytes per second; undefined: no limit. */
  rate: number | undefined
  /** The probability that a message arrives twice. */
  repeats: number
  /** The probability that a message changes places with the next one. */
  swaps: number
  /** Neither end is notified when a connection ends. */
  halfOpen: boolean
}

export const goodLink = (): Link => ({
  down: true,
  up: true,
  latencyMs: 2,
  jitterMs: 3,
  rate: undefined,
  repeats: 0,
  swaps: 0,
  halfOpen: false,
})

const bufferBytes = 64 * 1024
const retransmitMs = 200
const connectTimeoutMs = 5_000

/** One end of a connection. */
interface End {
  readonly process: Process
  readonly channel: Channel & Disposable
  deliver(bytes: Uint8Array): void
  hearEnd(end: ChannelEnd): void
}

/** A network of links, one for each zone. Connections behave as in TCP: in order, until they break. */
export function createNetwork(world: World, sabotage: Sabotage) {
  const links = new Map<string, Link>()
  const doors = new Map<number, { readonly process: Process; readonly onCall: OnCall }>()
  const connections = new Map<string, Set<() => void>>()

  const linkOf = (zone: string): Link => {
    const link = links.get(zone) ?? goodLink()
    links.set(zone, link)
    return link
  }

  /** One direction of a connection. */
  function createPipe(zone: string, direction: 'up' | 'down', target: () => End) {
    const queue: Uint8Array[] = []
    let freeAtMs = 0
    let lastAtMs = 0
    let waitingBytes = 0
    let blocked: PromiseWithResolvers<void> | undefined
    let ending: ChannelEnd | undefined

    function pump(): void {
      const link = linkOf(zone)
      const next = queue[0]
      if (!next) return
      if (!link[direction]) return void world.at(retransmitMs, pump)
      queue.shift()
      waitingBytes -= next.length
      if (waitingBytes < bufferBytes) {
        blocked?.resolve()
        blocked = undefined
      }
      arrive(next)
      if (queue.length > 0) step()
    }

    function step(): void {
      const link = linkOf(zone)
      const bytes = queue[0]?.length ?? 0
      const sendMs = link.rate === undefined ? 0 : (bytes / link.rate) * 1000
      freeAtMs = Math.max(freeAtMs, world.now()) + sendMs
      const latencyMs = link.latencyMs + world.random.fraction() * link.jitterMs
      lastAtMs = Math.max(lastAtMs, freeAtMs + latencyMs)
      world.at(lastAtMs - world.now(), pump)
    }

    let kept: Uint8Array | undefined
    function arrive(bytes: Uint8Array): void {
      const link = linkOf(zone)
      const to = target()
      const hand = (one: Uint8Array) => {
        const carried = direction === 'down' && sabotage.down ? sabotage.down(one, zone) : [one]
        for (const each of carried) to.process.after(0, () => to.deliver(each))
      }
      if (kept) {
        hand(bytes)
        hand(kept)
        kept = undefined
      } else if (world.random.fraction() < link.swaps && queue.length > 0) kept = bytes
      else {
        hand(bytes)
        if (world.random.fraction() < link.repeats) hand(bytes)
      }
      if (queue.length === 0 && ending) tell(ending)
    }

    function tell(end: ChannelEnd): void {
      const link = linkOf(zone)
      if (!link[direction]) return void world.at(retransmitMs, () => tell(end))
      const to = target()
      to.process.after(0, () => to.hearEnd(end))
    }

    return {
      send(bytes: Uint8Array): boolean {
        queue.push(bytes.slice())
        waitingBytes += bytes.length
        if (queue.length === 1) step()
        if (waitingBytes < bufferBytes) return true
        blocked ??= Promise.withResolvers()
        return false
      },
      drained: async () => blocked?.promise,
      release: () => blocked?.resolve(),
      /** Everything that was sent still arrives; then the peer is notified of the end. */
      end(end: ChannelEnd): void {
        if (ending || linkOf(zone).halfOpen) return
        ending = end
        if (queue.length === 0) world.at(linkOf(zone).latencyMs, () => tell(end))
      },
    }
  }

  function createEnd(process: Process, out: () => ReturnType<typeof createPipe>): End {
    const early: Uint8Array[] = []
    const ended = Promise.withResolvers<ChannelEnd>()
    let listener: ((bytes: Uint8Array) => void) | undefined
    let open = true
    function finish(end: ChannelEnd): void {
      if (!open) return
      open = false
      out().release()
      ended.resolve(end)
    }
    const channel: Channel & Disposable = {
      send: (bytes) => (open ? out().send(bytes) : true),
      drained: async () => (open ? out().drained() : undefined),
      onMessage(next) {
        listener = next
        while (listener && early.length > 0) {
          const bytes = early.shift()
          if (bytes) listener(bytes)
        }
      },
      ended: ended.promise,
      end() {
        if (open) out().end({ refused: false, reason: 'the peer closed the session' })
      },
      cut(reason) {
        if (!open) return
        out().end({ refused: false, reason: 'the connection was closed' })
        finish({ refused: false, reason })
      },
      [Symbol.dispose]() {
        channel.cut('let go')
      },
    }
    return {
      process,
      channel,
      deliver(bytes) {
        if (!open) return
        if (listener) listener(bytes)
        else early.push(bytes)
      },
      hearEnd(end) {
        finish(end)
        out().end(end)
      },
    }
  }

  function connect(zone: string, from: Process, to: Process): { readonly caller: End; readonly callee: End } {
    const up = createPipe(zone, 'up', () => callee)
    const down = createPipe(zone, 'down', () => caller)
    const caller: End = createEnd(from, () => up)
    const callee: End = createEnd(to, () => down)
    const gone = { refused: false, reason: 'the connection was reset' }
    from.onKill(() => up.end(gone))
    to.onKill(() => down.end(gone))
    const breakIt = () => {
      up.end(gone)
      down.end(gone)
      caller.hearEnd(gone)
      callee.hearEnd(gone)
    }
    const open = connections.get(zone) ?? new Set()
    connections.set(zone, open.add(breakIt))
    void caller.channel.ended.then(() => open.delete(breakIt))
    return { caller, callee }
  }

  return {
    linkOf,
    /** Breaks the connections of a zone, at any message. */
    breakConnections(zone: string): void {
      for (const breakIt of [...(connections.get(zone) ?? [])]) breakIt()
    },
    /** A listener of a process at an address. */
    listen:
      (address: number, process: Process): Listen =>
      async (onCall): Promise<Listening> => {
        const door = { process, onCall }
        doors.set(address, door)
        const close = async () => {
          if (doors.get(address) === door) doors.delete(address)
        }
        process.onKill(() => void close())
        return { port: address, close }
      },
    /** Dials one of the addresses, as a load balancer would choose. */
    dialer: (zone: string, process: Process, token: string, addresses: readonly number[]): Dialer => ({
      async dial(signal) {
        const link = linkOf(zone)
        await process.sleep(2 * (link.latencyMs + process.random.fraction() * link.jitterMs))
        const alive = addresses.filter((address) => doors.has(address))
        const address = alive[Math.floor(process.random.fraction() * alive.length)]
        if (!link.up || !link.down) {
          await process.sleep(connectTimeoutMs)
          if (!link.up || !link.down || signal.aborted) return err({ refused: false, reason: 'no answer' })
        }
        const door = address === undefined ? undefined : doors.get(address)
        if (!door) return err({ refused: false, reason: 'connection refused' })
        const { caller, callee } = connect(zone, process, door.process)
        door.process.after(link.latencyMs, () =>
          door.onCall(
            { address: zone, token },
            () => callee.channel,
            (reason) => caller.process.after(link.latencyMs, () => caller.hearEnd({ refused: true, reason })),
          ),
        )
        return ok(caller.channel)
      },
      forget: () => {},
    }),
  }
}
export type Network = ReturnType<typeof createNetwork>
