import { type Agent, request } from 'node:http'
import { performance } from 'node:perf_hooks'

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

/** Sends one request to an address with the Host header of a virtual host, as `curl --resolve` does. */
export function requestOnce(options: {
  readonly host: string
  readonly port: number
  readonly hostname: string
  readonly path: string
  readonly agent?: Agent
}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: options.host,
        port: options.port,
        path: options.path,
        headers: { host: options.hostname },
        timeout: 3_000,
        ...(options.agent ? { agent: options.agent } : {}),
      },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      },
    )
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 3 s')))
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Repeats a request until the answer is right. Throws an error with the last answer after the time limit. */
export async function untilAnswer<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T>,
  isRight: (answer: T) => boolean,
  describe: (answer: T) => string,
): Promise<T> {
  const endMs = performance.now() + limitMs
  let last = 'nothing yet'
  while (performance.now() < endMs) {
    try {
      const answer = await ask()
      if (isRight(answer)) return answer
      last = describe(answer)
    } catch (thrown) {
      last = thrown instanceof Error ? thrown.message : String(thrown)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${what}: not within ${Math.round(limitMs / 1000)} s; the last answer was: ${last}`)
}
