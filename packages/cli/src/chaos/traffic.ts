import { Agent } from 'node:http'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type Clock, delay } from '@zonemesh/shared/env/clock.ts'
import type { HistoryEvent } from '@zonemesh/shared/guarantees/history.ts'
import { requestOnce } from '../base/http.ts'
import type { Answer } from './answers.ts'
import type { Stack } from './stack.ts'
import { type Destination, pathOf } from './targets.ts'

export interface Failure {
  readonly startedAtMs: number
  readonly atMs: number
  readonly to: string
  readonly reason: string
}

const keepAliveCallers = 4
const otherCallers = 2

/** Sends requests through the gateway at a steady rate, on kept connections and on new ones, until it is stopped. */
export function startTraffic(
  deps: { readonly clock: Clock; readonly record: (event: HistoryEvent) => void },
  scene: Stack['scene'],
  options: { readonly perSecond: number },
) {
  const { clock } = deps
  const end = new AbortController()
  const agents: Agent[] = []
  const failures: Failure[] = []
  const answers: Answer[] = []
  let servedRoute: number | undefined
  const everyMs = ((keepAliveCallers + otherCallers) / options.perSecond) * 1_000

  async function ask(to: Destination | undefined, path: string, agent: Agent): Promise<string> {
    const [host = '', port = ''] = (to?.entrance ?? scene.entrance).split(':')
    try {
      const { status, body } = await requestOnce({ host, port: Number(port), hostname: scene.hostname, path, agent })
      if (status !== 200) return `${status} ${body.trim().slice(0, 200)}`
      // The service repeats the header that the route of the run has set.
      const [, turn] = /"route":"turn-(\d+)"/.exec(body) ?? []
      if (turn !== undefined) servedRoute = Math.max(servedRoute ?? 0, Number(turn))
      return ''
    } catch (thrown) {
      return messageOf(thrown)
    }
  }

  async function call(first: number, agent: Agent): Promise<void> {
    agents.push(agent)
    for (let turn = first; !end.signal.aborted; turn += 1) {
      const startMs = clock.monotonicMs()
      const to = scene.services[turn % scene.services.length]
      const path = to ? pathOf(to) : '/'
      const reason = await ask(to, path, agent)
      const atMs = clock.monotonicMs()
      answers.push({ startedAtMs: startMs, atMs, ok: reason === '' })
      if (reason !== '') failures.push({ startedAtMs: startMs, atMs, to: path, reason })
      deps.record({
        ...{ type: 'request', startedAtMs: startMs, atMs },
        from: 'the gateway',
        to: path,
        ok: reason === '',
        reason,
      })
      await delay(clock, Math.max(1, everyMs - (atMs - startMs)), end.signal).catch(() => undefined)
    }
  }

  const callers = Array.from({ length: keepAliveCallers + otherCallers }, (_, index) =>
    call(index, new Agent({ keepAlive: index < keepAliveCallers, maxSockets: 1 })),
  )
  return {
    answers: (): readonly Answer[] => answers,
    servedRoute: () => servedRoute,
    count: () => ({ requests: answers.length, failures }),
    async stop() {
      end.abort()
      await Promise.all(callers)
      for (const agent of agents) agent.destroy()
    },
  }
}
export type Traffic = ReturnType<typeof startTraffic>
