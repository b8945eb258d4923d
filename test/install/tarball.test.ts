import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commandsOf, dist, proveFirstMesh, startContainer, version } from './rig.ts'

test('IN8 the tarball runs a mesh without a network, Node, npm, Python and git', async () => {
  using container = await startContainer({
    image: 'debian:bookworm-slim',
    options: ['--init', '--network', 'none'],
    command: ['sleep', '600'],
  })
  const others = await container.asRoot('for name in node npm python3 git wget; do command -v $name || true; done')
  expect(others).toMatchObject({ code: 0, stdout: '' })
  expect(await container.asRoot(commandsOf('Tarball'))).toMatchObject({ code: 0 })
  await proveFirstMesh(container, `/opt/zonemesh-${version}-linux-x64`)
  // A relative link, and a folder that is moved.
  const moved = `cd /opt && mv zonemesh-${version}-linux-x64 moved && ln -s moved/bin/zonemesh here && ./here version || true`
  expect((await container.asRoot(moved)).stdout).toMatch(new RegExp(`^client ${version} `))
  const bare = await container.asRoot('env -i PATH=/usr/bin:/bin /opt/moved/bin/zonemesh version || true')
  expect(bare.stdout).toMatch(new RegExp(`^client ${version} `))
})

/** The machine that an ELF file is for. */
function machineOf(path: string): number {
  const header = Buffer.alloc(20)
  const file = openSync(path, 'r')
  readSync(file, header, 0, header.length, 0)
  closeSync(file)
  return header.readUInt16LE(18)
}

test('IN9 the tarballs of both architectures differ only in their Node, and have no other native code', () => {
  const names = { x64: `zonemesh-${version}-linux-x64`, arm64: `zonemesh-${version}-linux-arm64` }
  const listOf = (name: string) =>
    execFileSync('tar', ['-tzf', join(dist, `${name}.tar.gz`)], { encoding: 'utf8', maxBuffer: 64e6 })
      .split('\n')
      .map((line) => line.slice(name.length))
  expect(listOf(names.arm64)).toEqual(listOf(names.x64))
  expect(listOf(names.x64).filter((line) => /\.(node|so)$/.test(line))).toEqual([])
  expect(machineOf(join(dist, names.x64, 'node/bin/node'))).toBe(62)
  expect(machineOf(join(dist, names.arm64, 'node/bin/node'))).toBe(183)
  const difference = execFileSync('sh', ['-c', `diff -rq ${names.x64} ${names.arm64} || true`], { cwd: dist })
  expect(String(difference).trim()).toBe(`Files ${names.x64}/node/bin/node and ${names.arm64}/node/bin/node differ`)
})
