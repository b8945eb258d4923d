import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Container, commandsOf, proveFirstMesh, startContainer, version } from './rig.ts'

let container: Container
beforeAll(async () => {
  container = await startContainer({
    image: 'node:24-bookworm-slim',
    options: ['--init'],
    command: ['sleep', '600'],
  })
})
afterAll(() => container[Symbol.dispose]())

test('IN5 npm install -g installs the package with Node 24 and at most 60 MB, and a user runs a mesh with it', async () => {
  expect(await container.asRoot(commandsOf('npm'))).toMatchObject({ code: 0 })
  const folder = (await container.asRoot('echo "$(npm root -g)/zonemesh"')).stdout.trim()
  const size = await container.asRoot(`du -s --block-size=1 ${folder}`)
  expect(Number.parseInt(size.stdout, 10)).toBeLessThan(60e6)
  const listed = await container.asRoot('npm ls -g --depth 0 zonemesh')
  expect(listed.stdout).toContain(`zonemesh@${version}`)
  // What only builds and tests need is not installed.
  const tools = await container.asRoot(
    `ls ${folder}/node_modules | grep -E '^(vitest|typescript|@biomejs|node-linux)' || true`,
  )
  expect(tools.stdout).toBe('')
  await proveFirstMesh(container, folder)
})

test('IN18 npm installs the manual pages of all commands', async () => {
  const pages =
    'cd "$(npm prefix -g)/share/man/man1" && ls -L zonemesh*.1 | wc -l && grep -l "zonemesh status" zonemesh-status.1'
  const { code, stdout } = await container.asRoot(pages)
  expect(code).toBe(0)
  const [count = '', named] = stdout.split('\n')
  expect([Number(count) > 40, named]).toEqual([true, 'zonemesh-status.1'])
})
