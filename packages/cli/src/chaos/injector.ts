import { messageOf } from '@zonemesh/shared/base/base.ts'
import { CommandError } from '../base/command.ts'
import { createContainers, type Place } from './containers.ts'
import type { Order, StackState } from './control.ts'
import { createChildren } from './keeper.ts'
import { type LineFaults, lineFaults } from './relay.ts'
import type { Stack } from './stack.ts'

/** What a run can stop and that carries no traffic: the parts of the stack, or its planes if it has one process for each. */
export const planesOf = ({ parts, zones }: Pick<Stack, 'parts' | 'zones'>): readonly string[] =>
  parts.length > 0 ? parts.map(({ name }) => name) : ['global', ...Object.keys(zones).map((zone) => `zone-${zone}`)]

/** Injects faults into the lines of a stack through its control, and into its planes where they run. */
export function createInjector(stack: Stack) {
  const { address, token } = stack.control
  async function send(order: Order): Promise<StackState> {
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
        `cannot reach the stack in ${stack.folder} at ${address}: ${messageOf(thrown)}; if it has stopped, start it again`,
      )
    }
    const body: unknown = await reply.json()
    // Both ends have the same version: the control responds with its state or with an error.
    if (!reply.ok) throw new CommandError((body as { readonly detail: string }).detail, 2)
    return body as StackState
  }
  const { compose } = stack
  const targets = stack.scene.targets.map(({ name }) => name)
  const places = new Map<string, Place>()
  for (const { name, networks = [] } of stack.scene.targets) places.set(name, { networks, aliases: [name] })
  for (const { name, networks, alias } of stack.parts)
    places.set(name, { networks, aliases: alias === undefined ? [name] : [name, alias] })
  return {
    ...(compose === undefined
      ? createChildren(send)
      : createContainers(compose, [...planesOf(stack), ...targets], places)),
    state: () => send({ do: 'state' }),
    breakLine: (line: string, faults: Partial<LineFaults>) =>
      send({ do: 'line', line, faults: lineFaults.parse(faults) }),
    healLine: (line: string) => send({ do: 'line', line, faults: {} }),
    cutLine: (line: string) => send({ do: 'cut', line }),
  }
}
export type Injector = ReturnType<typeof createInjector>
