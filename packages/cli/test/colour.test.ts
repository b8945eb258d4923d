import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { RunningGlobal } from '@zonemesh/global/global.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { wantsColour } from '../src/output/colour.ts'
import { clientOf, createUser, nodeArguments, startTestGlobal, stoppedTestZone, type User } from './rig.ts'

let global: RunningGlobal
let user: User
let address: string

beforeAll(async () => {
  global = await startTestGlobal()
  address = `http://127.0.0.1:${global.apiPort}`
  user = createUser()
  await stoppedTestZone(global, 'east')
  await clientOf(global).need('PUT', '/meshes/shop', { type: 'Mesh', name: 'shop' })
})
afterAll(async () => {
  user[Symbol.dispose]()
  await global.close()
})

/** Runs a command with a pseudo-terminal, which `script` of util-linux opens. Escape characters are shown as "<esc>". */
async function inTerminal(args: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const command = [process.execPath, ...nodeArguments, ...args].map((word) => `'${word}'`).join(' ')
  const env = { ...user.environment, TERM: 'xterm', ...environment }
  const { stdout } = await promisify(execFile)('script', ['--quiet', '--command', command, '/dev/null'], { env })
  return shown(stdout)
}

const shown = (text: string): string => text.replaceAll('\u001b', '<esc>')

const commandsWithColour = (): readonly (readonly string[])[] => [
  ['status', '--address', address],
  ['diff', '@-1', '--address', address],
]

test('B73 commands colour lines on a terminal, and in a pipe they write neither colours nor cursor movements', async () => {
  for (const args of commandsWithColour()) {
    expect(await inTerminal(args)).toMatch(/<esc>\[\d+m/)
    for (const environment of [{ NO_COLOR: '1' }, { TERM: 'dumb' }, { NO_COLOR: '1', FORCE_COLOR: '1' }])
      expect(await inTerminal(args, environment)).not.toContain('<esc>')
    const piped = await user.run(args)
    expect(piped.stdout).not.toBe('')
    expect(piped.stdout + piped.stderr).not.toContain('\u001b')
    const { stdout } = await user.run(args, { environment: { FORCE_COLOR: '1' } })
    expect(shown(stdout)).toMatch(/<esc>\[\d+m/)
  }
})

test('B73 progress is one line that is rewritten on a terminal, and lines in a pipe', async () => {
  const args = ['status', '--wait', '--timeout', '700ms', '--address', address]
  expect(await inTerminal(args)).toMatch(/waiting: zone east is offline[^\n]*\r<esc>\[K/)
  expect(await inTerminal(args, { TERM: 'dumb' })).not.toContain('<esc>')
  const piped = await user.run(args)
  expect(piped.code).toBe(1)
  expect(piped.stderr).toMatch(/^waiting: zone east is offline.*\nnot within 700ms; missing:\n {2}zone east is offline/)
})

test.each([
  ['a terminal', true, {}, true],
  ['a pipe', false, {}, false],
  ['NO_COLOR', true, { NO_COLOR: '1' }, false],
  ['an empty NO_COLOR', true, { NO_COLOR: '' }, true],
  ['a dumb terminal', true, { TERM: 'dumb' }, false],
  ['FORCE_COLOR in a pipe', false, { FORCE_COLOR: '1' }, true],
  ['FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, false],
  ['both variables', true, { FORCE_COLOR: '1', NO_COLOR: '1' }, false],
] as const)('B73 colours depend on the terminal and the environment: %s', (_title, isTTY, environment, expected) => {
  expect(wantsColour({ isTTY }, environment)).toBe(expected)
})
