import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'

const startMs = 1_000

/** The redis-server of this machine; undefined if there is none. */
export async function startRedis(): Promise<({ readonly url: string } & AsyncDisposable) | undefined> {
  const [port = 0] = await freePorts(systemRandom, 1)
  const words = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', words, { stdio: 'ignore' })
  const failed = once(server, 'error').then(() => true)
  const started = delay(systemClock, startMs, new AbortController().signal).then(() => false)
  if (await Promise.race([failed, started])) return undefined
  return {
    url: `redis://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const ended = once(server, 'exit')
      server.kill()
      await ended
    },
  }
}
