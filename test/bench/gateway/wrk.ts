import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface WrkResult {
  readonly perSecond: number
  readonly requests: number
  /** Answers that were not 2xx or 3xx, and sockets that failed. */
  readonly failed: number
  readonly out: string
}

/** Runs wrk against a port of this machine. Throws with a sentence where it is not installed. */
export async function wrk(
  port: number,
  host: string,
  options: { seconds: number; connections: number; script?: string },
): Promise<WrkResult> {
  const { seconds, connections, script } = options
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '-H', `Host: ${host}`, ...(script ? ['-s', script] : [])]
  const { stdout } = await run('wrk', [...args, `http://127.0.0.1:${port}/`]).catch(
    (thrown: Error & { code?: string }) => {
      throw thrown.code === 'ENOENT' ? new Error('this measure needs wrk on PATH: apt-get install wrk') : thrown
    },
  )
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0)
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? []
  return {
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    requests: number(/(\d+) requests in/),
    failed: number(/Non-2xx or 3xx responses: (\d+)/) + sockets.reduce((sum, one) => sum + Number(one), 0),
    out: stdout,
  }
}
