import { createServer } from 'node:https'
import { fetchBootstrap } from '@zonemesh/dataplane/bootstrap.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect, test } from 'vitest'
import { createCertificate } from './rig.ts'

interface Reply {
  readonly status: number
  readonly body?: string
}

/** Waits take no time here; the deadline of five minutes passes a thousand times faster. */
const fast = {
  ...systemClock,
  monotonicMs: () => systemClock.monotonicMs() * 1_000,
  after: (ms: number, task: () => void) => systemClock.after(ms / 1_000, task),
}
const unhurried = { ...fast, monotonicMs: systemClock.monotonicMs }

/** Sends requests to a server that returns these responses in order, the last one repeatedly. */
async function fetchFrom(replies: readonly Reply[], clock = unhurried): Promise<{ text: string; asked: number }> {
  let asked = 0
  const { certificate, key } = await createCertificate()
  const server = createServer({ cert: certificate, key }, (_request, response) => {
    const reply = replies[Math.min(asked, replies.length - 1)] ?? { status: 500 }
    asked += 1
    response.writeHead(reply.status).end(reply.body ?? '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  try {
    const call = async () => ({ address: new URL(`https://127.0.0.1:${port}`), authority: certificate, body: {} })
    const text = await fetchBootstrap(
      { clock, log: silentLog, random: systemRandom },
      call,
      new AbortController().signal,
    )
    return { text, asked }
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const good = { status: 200, body: JSON.stringify({ bootstrap: Buffer.from('{}').toString('base64') }) }

test('BS9 a bootstrap request is repeated after 404, the wrong port and 5xx', async () => {
  const replies = [{ status: 404 }, { status: 404, body: '404: Page Not Found' }, { status: 503 }, good]
  expect(await fetchFrom(replies)).toEqual({ text: '{}', asked: 4 })
})

test('BS9 every other 4xx stops the bootstrap at once, with the reason of the zone in one line', async () => {
  for (const status of [400, 401, 422]) {
    await expect(fetchFrom([{ status, body: 'mesh "x" does not exist\n' }, good])).rejects.toThrow(
      new RegExp(`refuses this proxy \\(${status}\\): mesh "x" does not exist$`),
    )
  }
})

test('BS9 after five minutes the bootstrap stops with the reason', async () => {
  await expect(fetchFrom([{ status: 404 }], fast)).rejects.toThrow('has no row of this proxy yet')
})

test('BS9 an aborted signal ends the waiting', async () => {
  const call = async () => ({ address: new URL('https://127.0.0.1:1'), authority: undefined, body: {} })
  const stopped = AbortSignal.timeout(20)
  await expect(
    fetchBootstrap({ clock: systemClock, log: silentLog, random: systemRandom }, call, stopped),
  ).rejects.toThrow()
})
