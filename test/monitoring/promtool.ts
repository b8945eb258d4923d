import { spawnSync } from 'node:child_process'

/** Runs promtool with its input. Throws if promtool is not in PATH: these tests prove nothing without it. */
export function promtool(args: readonly string[], input = ''): { readonly code: number; readonly output: string } {
  const { error, status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  if (error && 'code' in error && error.code === 'ENOENT')
    throw new Error(
      'these tests need promtool in PATH: it is in the Debian package prometheus, and .ci/run installs it',
    )
  if (error) throw error
  return { code: status ?? 1, output: `${stdout}${stderr}`.trim() }
}
