import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { integer, option, toggle } from '@zonemesh/plane/config/options.ts'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { untilAborted } from '@zonemesh/shared/env/aborted.ts'
import { type Context, defineCommand } from '../base/command.ts'
import { startChaosLines } from '../chaos/lines.ts'
import { createDemoFolder, keepDemoFolder } from '../demo/folder.ts'
import { drawNames } from '../demo/names.ts'
import { invitationLines, prove } from '../demo/prove.ts'
import { type Demo, startDemo } from '../demo/run.ts'
import { showLive } from '../live/run.ts'
import { isTerminal } from '../output/colour.ts'

const hasCommand = (name: string): boolean =>
  (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name)))

export const demo = defineCommand({
  name: 'demo',
  summary: 'run a global, two zones and their proxies on this machine, prove that a request crosses, and show it live',
  usage: '[--once] [--seed N] [--chaos] [--no-live]',
  examples: ['npm run demo', 'npm run demo -- --once', 'npm run demo -- --seed 7'],
  arity: { min: 0, max: 0 },
  options: {
    once: option(toggle.default(false), 'prove it, stop, and exit 0 or 1'),
    live: option(toggle.default(true), 'on a terminal, show zones, traffic, changes and faults as they happen', {
      shownDefault: 'yes, on a terminal',
    }),
    seed: option(integer.optional(), 'draw names, tags, ports, weights and hostnames from N', {
      placeholder: 'N',
    }),
    chaos: option(
      toggle.default(false),
      'put a relay into the line of each zone, for `zonemesh chaos` in another terminal; the live screen always has them',
    ),
    keep: option(toggle.default(false), 'keep the folder with stores and logs'),
  },
  async run(values, context) {
    const { print, note, signal } = context
    const startMs = performance.now()
    const folder = createDemoFolder()
    const steps = {
      done: (line: string) => print(`✔ ${((performance.now() - startMs) / 1000).toFixed(1).padStart(5)} s  ${line}`),
    }
    const isLive = values.live && !values.once && isTerminal() && process.stdin.isTTY
    const lines = values.chaos || isLive ? startChaosLines : undefined
    let failed = false
    try {
      const running = await startDemo(drawNames(values.seed), folder, steps, signal, lines)
      try {
        const broken = running.processes.watch()
        broken.catch(() => {})
        await Promise.race([prove(running, steps), broken, aborted(signal)])
        if (!values.once && !signal.aborted) {
          if (isLive) await showLive(running, invitationLines(running, hasCommand('dig')), signal)
          else await Promise.race([broken, invite(running, context)])
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
    if (failed || values.keep) {
      keepDemoFolder(folder)
      note(`logs and stores are kept in ${folder}`)
    } else rmSync(folder, { recursive: true, force: true })
    if (!failed && signal.aborted) note('stopped')
    return failed || (values.once && signal.aborted) ? 1 : 0
  },
})

/** Prints what to try, and waits for Ctrl-C. */
async function invite(running: Demo, { print, signal }: Context): Promise<void> {
  print('\nIt runs until Ctrl-C. To try, in another terminal:\n')
  for (const line of invitationLines(running, hasCommand('dig'))) print(`  ${line}`)
  print(`\nLogs and stores: ${running.folder}`)
  await untilAborted(signal)
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
