import { expect, test, vi } from 'vitest'
import { runCommandLine } from '../src/command-line.ts'

/** The exit code and the output of a command line. */
async function run(...args: readonly string[]) {
  const texts = { stdout: '', stderr: '' }
  const capture = (name: keyof typeof texts) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      texts[name] += String(text)
      return true
    })
  const spies = [capture('stdout'), capture('stderr')]
  try {
    return { code: await runCommandLine(args, new AbortController().signal), ...texts }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

test('B22 help COMMAND, COMMAND --help and -h print the same help, and -v is --version', async () => {
  const help = await run('help', 'token', 'zone')
  expect(help).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringMatching(/^Make a token for a zone .*\n\nUsage: zonemesh token zone /),
  })
  expect(await run('token', 'zone', '--help')).toEqual(help)
  expect(await run('token', 'zone', '-h')).toEqual(help)
  expect(await run('help')).toEqual(await run('--help'))
  expect((await run('help', 'token')).stdout).toMatch(/^Usage: zonemesh token …\n\n( +token \w+ .*\n){3}$/)
  expect(await run('help', 'tokn')).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('unknown command "tokn"'),
  })
  expect(await run('-v', '--help')).toEqual(await run('version', '--help'))
})
