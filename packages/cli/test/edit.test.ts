import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { edit } from '../src/commands/edit.ts'
import { history } from '../src/commands/history.ts'
import { type Rig, startGlobalRig, timeout } from './command-rig.ts'

let rig: Rig

beforeEach(async () => {
  rig = await startGlobalRig()
  await rig.client.need('POST', '/_commit', { documents: [timeout('slow', { labels: { team: 'a' } })] })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rig[Symbol.asyncDispose]()
})

/** Makes a script the editor of the user. It has the file as its argument, and notes its path and mode. */
function useEditor(script: string): void {
  const path = join(rig.folder, 'editor.sh')
  writeFileSync(path, `#!/bin/sh\necho "$1" > ${rig.folder}/edited\nstat -c %a "$1" > ${rig.folder}/mode\n${script}\n`)
  chmodSync(path, 0o700)
  vi.stubEnv('VISUAL', '')
  vi.stubEnv('EDITOR', `sh ${path}`)
}
const editedPath = (): string => readFileSync(join(rig.folder, 'edited'), 'utf8').trim()
const connectTimeout = async (): Promise<unknown> =>
  Object((await rig.client.need('GET', '/meshes/default/timeouts/slow')).json).conf.connectTimeout

test('B60 edit writes the changed text with its author and reason, and leaves no file', async () => {
  useEditor(`cp "$1" ${rig.folder}/text\nsed -i 's/connectTimeout: 1s/connectTimeout: 7s/' "$1"`)
  const { code, printed } = await rig.run(edit, 'timeout', 'slow')
  expect([code, printed]).toEqual([0, ['Timeout default/slow: updated', expect.stringMatching(/^revision /)]])
  expect(await connectTimeout()).toBe('7s')
  expect(readFileSync(join(rig.folder, 'mode'), 'utf8').trim()).toBe('600')
  expect(statSync(rig.folder).isDirectory() && existsSync(dirname(editedPath()))).toBe(false)
  const shown = readFileSync(join(rig.folder, 'text'), 'utf8')
  expect(shown.split('\n').slice(0, 6)).toEqual([
    expect.stringMatching(/^# Change this resource/),
    'type: Timeout',
    'mesh: default',
    'name: slow',
    'labels:',
    '  team: a',
  ])
  expect((await rig.run(history, 'timeout/slow')).printed[1]).toMatch(/mesh-system:admin +edit Timeout slow +changed/)
})

test.each([
  ['an invalid field', 's/connectTimeout: 1s/connectTimeout: soon/', 'the control plane refuses it'],
  ['no YAML', 's/^name:.*/name: [/', 'line 5: '],
  ['another name', 's/^name: slow/name: fast/', 'expected the same name, "slow", found "fast"'],
  ['another kind', 's/^type: Timeout/type: Retry/', 'expected the same type, "Timeout", found "Retry"'],
  ['two documents', '$a ---\\ntype: Mesh\\nname: x', 'expected one document, found 2'],
  ['no document', '1,$d', 'expected the resource, found no document'],
] as const)('B60 edit writes nothing and keeps the text because of %s', async (_title, script, reason) => {
  useEditor(`sed -i '${script}' "$1"`)
  const failed = await rig.run(edit, 'timeout/slow').then(
    () => 'no error',
    (thrown: Error) => thrown.message,
  )
  const path = editedPath()
  expect(failed).toContain(`nothing was written: ${reason}`)
  expect(failed).toContain(`your text is kept in ${path}; correct it and write it with: zonemesh apply -f ${path}`)
  expect([statSync(path).mode & 0o777, statSync(dirname(path)).mode & 0o777]).toEqual([0o600, 0o700])
  expect(await connectTimeout()).toBe('1s')
  rmSync(dirname(path), { recursive: true })
})

test('B60 edit writes nothing and keeps the text because of a change in the meantime', async () => {
  const body = JSON.stringify(timeout('slow', { connect: '3s' }))
  const send = join(rig.folder, 'send.mjs')
  const request = { method: 'PUT', headers: { 'content-type': 'application/json' }, body }
  writeFileSync(send, `await fetch('${rig.address}/meshes/default/timeouts/slow', ${JSON.stringify(request)})`)
  useEditor(`sed -i 's/connectTimeout: 1s/connectTimeout: 7s/' "$1"\n'${process.execPath}' ${send}`)
  await expect(rig.run(edit, 'timeout', 'slow')).rejects.toThrow(
    /changed after .*: Timeout "slow" at @\d+\nyour text is kept in/,
  )
  expect(await connectTimeout()).toBe('3s')
  rmSync(dirname(editedPath()), { recursive: true })
})

test('B60 edit explains a failing editor, an unchanged text and an absent resource', async () => {
  useEditor('true')
  expect(await rig.run(edit, 'timeout', 'slow')).toMatchObject({ code: 0, printed: ['nothing was changed'] })
  expect(existsSync(editedPath())).toBe(false)
  useEditor('exit 3')
  await expect(rig.run(edit, 'timeout', 'slow')).rejects.toThrow(
    /^nothing was written: the editor "sh .*" failed: it ended with 3/,
  )
  expect(existsSync(editedPath())).toBe(false)
  useEditor('echo "# half a thought" >> "$1"\nexit 3')
  await expect(rig.run(edit, 'timeout', 'slow')).rejects.toThrow(/your text is kept in /)
  rmSync(dirname(editedPath()), { recursive: true })
  await expect(rig.run(edit, 'timeout', 'slwo')).rejects.toThrow(/did you mean "slow"\?/)
  await expect(rig.run(edit, 'timeout')).rejects.toThrow('expected KIND NAME')
})
