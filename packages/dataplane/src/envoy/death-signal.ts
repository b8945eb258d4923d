import { spawnSync } from 'node:child_process'

/**
 * The prefix of a command that makes the kernel send it a signal when this process exits for any reason. Empty if the
 * system has no `setpriv` with this option (macOS, BusyBox).
 */
export function parentDeathSignal(signal: 'KILL' | 'TERM'): readonly string[] {
  const words = ['setpriv', '--pdeathsig', signal, '--'] as const
  const [command, ...args] = words
  return spawnSync(command, [...args, 'true'], { stdio: 'ignore' }).status === 0 ? words : []
}
