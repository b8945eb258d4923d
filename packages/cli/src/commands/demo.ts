import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { integer, option, toggle } from '@zonemesh/plane/config/options.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { defineCommand } from '../base/command.ts'
import { startChaosLines } from '../chaos/lines.ts'
import { drawNames } from '../demo/names.ts'
import { invitations, prove } from '../demo/prove.ts'
import { startDemo } from '../demo/run.ts'

const hasCommand = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)))

export const demo = defineCommand({
  name: 'demo',
  summary: 'run a global, two zones and their proxies on this machine, and prove that a request crosses',
  usage: '[--once] [--seed N] [--chaos]',
  examples: ['npm run demo', 'npm run demo -- --once', 'npm run demo -- --seed 7'],
  arity: { min: 0, max: 0 },
  options: {
    once: option(toggle.default(false), 'prove it, stop, and exit 0 or 1'),
    seed: option(integer.optional(), 'draw names, tags, ports, weights and hostnames from N', {
      placeholder: 'N',
    }),
    chaos: option(
      toggle.default(false),
      'put a relay into the line of each zone, for `zonemesh chaos` in another terminal',
    ),
    keep: option(toggle.default(false), 'keep the folder with stores and logs'),
  },
  async run(values, { print, note, signal }) {
    const startMs = performance.now()
    const folder = mkdtempSync(join(tmpdir(), 'zonemesh-demo-'))
    const steps = {
      done: (line: string) => print(`✔ ${((performance.now() - startMs) / 1000).toFixed(1).padStart(5)} s  ${line}`),
    }
    let failed = false
    try {
      const running = await startDemo(
        drawNames(values.seed),
        folder,
        steps,
        signal,
        values.chaos ? startChaosLines : undefined,
      )
      try {
        const broken = running.processes.watch()
        broken.catch(() => {})
        await Promise.race([prove(running, steps), broken, aborted(signal)])
        if (!values.once && !signal.aborted) {
          print('\nIt runs until Ctrl-C. To try, in another terminal:\n')
          for (const line of invitations(running, hasCommand('dig'))) print(`  ${line}`)
          print(`\nLogs and stores: ${folder}`)
          await Promise.race([
            broken,
            new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
          ])
        }
      } finally {
        await running.stop()
      }
    } catch (thrown) {
      if (!signal.aborted) {
        failed = true
        note(`✘ ${messageOf(thrown)}`)
      }
    }
    if (failed || values.keep) note(`logs and stores are kept in ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
    if (!failed && signal.aborted) note('stopped')
    return failed || (values.once && signal.aborted) ? 1 : 0
  },
})

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
