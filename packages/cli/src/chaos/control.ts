import { timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import { lineFaults, type Relay, type RelayCounters } from './relay.ts'

/** One process of a stack, or a service in the process of its control. */
export const role = z.object({ name: z.string(), pid: z.number(), running: z.boolean() })
export type Role = z.infer<typeof role>

/** The operations of a process supervisor that the control uses. */
export interface Supervisor {
  roles(): readonly Role[]
  /** SIGSTOP, SIGCONT. */
  signal(name: string, signal: 'SIGSTOP' | 'SIGCONT'): void
  /** Stops a process and does not restart it. Resolves when it has exited. */
  end(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** Starts the process again with the same command and these additional variables. */
  start(name: string, environment: Readonly<Record<string, string>>): Promise<void>
}

const order = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('state') }),
  z.strictObject({ do: z.literal('line'), line: z.string(), faults: lineFaults }),
  z.strictObject({ do: z.literal('cut'), line: z.string() }),
  z.strictObject({ do: z.literal('signal'), role: z.string(), signal: z.enum(['SIGSTOP', 'SIGCONT']) }),
  z.strictObject({ do: z.literal('end'), role: z.string(), signal: z.enum(['SIGKILL', 'SIGTERM']) }),
  z.strictObject({
    do: z.literal('start'),
    role: z.string(),
    environment: z.record(z.string(), z.string()).default({}),
  }),
])
export type Order = z.input<typeof order>

export interface StackState {
  readonly roles: readonly Role[]
  readonly lines: Readonly<Record<string, RelayCounters>>
}

export interface Control extends AsyncDisposable {
  readonly address: string
  readonly token: string
}

const bodyBytesMax = 65_536

/**
 * Accepts orders to inject faults into a stack from any client with the token, on loopback or in a test network. It is
 * part of `zonemesh demo --chaos` and of `zonemesh chaos relay`, both for tests only.
 */
export async function startControl(
  deps: { readonly lines: ReadonlyMap<string, Relay>; readonly supervisor: Supervisor | undefined },
  options: { readonly host: string; readonly port: number; readonly token: string },
): Promise<Control> {
  const { lines, supervisor } = deps
  const needLine = (name: string): Relay => {
    const found = lines.get(name)
    if (found) return found
    throw new Error(
      `no relay for the line of "${name}"; relays of this control: ${[...lines.keys()].join(', ') || 'none'}`,
    )
  }
  const needSupervisor = (): Supervisor => {
    if (supervisor) return supervisor
    throw new Error('this control has no processes: it controls only relays')
  }

  async function execute(one: z.infer<typeof order>): Promise<void> {
    switch (one.do) {
      case 'state':
        return
      case 'line':
        return needLine(one.line).set(one.faults)
      case 'cut':
        return needLine(one.line).cut()
      case 'signal':
        return needSupervisor().signal(one.role, one.signal)
      case 'end':
        return needSupervisor().end(one.role, one.signal)
      case 'start':
        return needSupervisor().start(one.role, one.environment)
    }
  }

  const state = (): StackState => ({
    roles: supervisor?.roles() ?? [],
    lines: Object.fromEntries([...lines].map(([name, relay]) => [name, relay.counters()])),
  })

  const expected = Buffer.from(`Bearer ${options.token}`)
  const server = createServer(async (request, response) => {
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
    const shown = Buffer.from(request.headers.authorization ?? '')
    if (shown.length !== expected.length || !timingSafeEqual(shown, expected)) {
      answer(401, { detail: 'expected the token of the stack file as "Authorization: Bearer …"' })
      return
    }
    try {
      const read = order.safeParse(JSON.parse(await bodyOf(request)))
      if (!read.success) {
        answer(400, {
          detail: read.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
        })
        return
      }
      await execute(read.data)
      answer(200, state())
    } catch (thrown) {
      answer(400, { detail: messageOf(thrown) })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, resolve)
  })
  const bound = server.address()
  const port = bound !== null && typeof bound === 'object' ? bound.port : options.port
  return {
    address: `http://${options.host}:${port}`,
    token: options.token,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > bodyBytesMax) throw new Error(`expected an order of at most ${bodyBytesMax} bytes, found a larger one`)
  }
  return Buffer.concat(chunks).toString('utf8')
}
