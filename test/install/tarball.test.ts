import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commandsOf, debianWith, dist, proveFirstMesh, startContainer, version } from './rig.ts'

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

/** Packages with which a machine of another architecture runs programs for arm64. */
const emulation = ['qemu-user-static', 'libstdc++6:arm64', 'libatomic1:arm64']
/** Runs the Node of the tarball in the emulator. */
const emulated = `#!/bin/sh
exec qemu-aarch64-static "$0.arm64" "$@"
`

test('IN15 the tarball for arm64 shows its version, and runs a global that answers and stops in order', async () => {
  using container = await startContainer({
    image: debianWith(emulation),
    options: ['--init', '--network', 'none'],
    command: ['sleep', '600'],
  })
  const folder = `/opt/zonemesh-${version}-linux-arm64`
  const install = `tar -xzf zonemesh-${version}-linux-arm64.tar.gz -C /opt
    ln -s ${folder}/bin/zonemesh /usr/local/bin/zonemesh
    cd ${folder}/node/bin
    ${process.arch === 'arm64' ? 'exit 0' : ''}
    mv node node.arm64
    cat > node <<'END'\n${emulated}END
    chmod 755 node`
  expect(await container.asRoot(install)).toMatchObject({ code: 0 })
  const session = `zonemesh global --data-dir global --host 127.0.0.1 > global.log 2>&1 & plane=$!
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
      zonemesh version > version.txt
      grep -q "^server ${version}" version.txt && break
    done
    cat version.txt
    kill $plane && wait $plane`
  const ran = await container.asUser(session)
  expect(ran, (await container.asUser('cat global.log')).stdout).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(new RegExp(`^client ${version} \\(Node 24\\..*\\nserver ${version}\\S* at `)),
  })
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
