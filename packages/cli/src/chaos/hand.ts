import { messageOf } from '@zonemesh/shared/base/base.ts'
import { CommandError } from '../command.ts'
import type { Order, Sight } from './control.ts'
import { type LineFaults, lineFaults } from './relay.ts'
import type { Stack } from './stack.ts'

/** Gives orders to the control of a stack. */
export function createHand(stack: Stack) {
  const { address, token } = stack.control
  async function give(order: Order): Promise<Sight> {
    let reply: Response
    try {
      reply = await fetch(address, {
        method: 'POST',
        body: JSON.stringify(order),
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        signal: AbortSignal.timeout(15_000),
      })
    } catch (thrown) {
      throw new CommandError(
        `cannot reach the stack in ${stack.folder} at ${address} (has it ended?): ${messageOf(thrown)}`,
      )
    }
    const body: unknown = await reply.json()
    // Both ends are of one version: the control answers with what it has seen, or with why not.
    if (!reply.ok) throw new CommandError((body as { readonly detail: string }).detail, 2)
    return body as Sight
  }
  return {
    look: () => give({ do: 'look' }),
    hurt: (line: string, faults: Partial<LineFaults>) => give({ do: 'line', line, faults: lineFaults.parse(faults) }),
    heal: (line: string) => give({ do: 'line', line, faults: {} }),
    cut: (line: string) => give({ do: 'cut', line }),
    hold: (role: string) => give({ do: 'signal', role, signal: 'SIGSTOP' }),
    letGo: (role: string) => give({ do: 'signal', role, signal: 'SIGCONT' }),
    end: (role: string, signal: 'SIGKILL' | 'SIGTERM') => give({ do: 'end', role, signal }),
    start: (role: string, environment: Readonly<Record<string, string>> = {}) =>
      give({ do: 'start', role, environment: { ...environment } }),
  }
}
export type Hand = ReturnType<typeof createHand>
