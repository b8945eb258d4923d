// For the Dockerfile: writes what the image runs into a folder. `runtime` rarely changes: Node, and the licences of the
// dependencies. `zonemesh` is Zonemesh with its dependencies. Each is a layer of the image.
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { debianNames, stageRuntime } from './runtime.ts'
import { stagePackage } from './stage.ts'

const [folder = ''] = process.argv.slice(2)
const architectures = Object.keys(debianNames) as (keyof typeof debianNames)[] // the keys of a constant
const architecture = architectures.find((name) => name === process.arch)
if (folder === '' || architecture === undefined)
  throw new Error(
    `expected a folder and a machine of ${architectures.join(' or ')}, found "${folder}" and ${process.arch}`,
  )
const inFolder = (...names: readonly string[]): string => join(folder, ...names)

await stagePackage(inFolder('staged'))
stageRuntime(inFolder('staged'), inFolder('files'), architecture)
await bundle()
for (const name of ['node/bin', 'node/LICENSE']) move(`files/${name}`, `runtime/${name}`)
for (const name of ['bin', 'demo', 'scenes', 'LICENSE', 'package.json']) move(`files/${name}`, `zonemesh/${name}`)
keepLicences()
for (const name of ['staged', 'files']) rmSync(inFolder(name), { recursive: true })

function move(from: string, to: string): void {
  mkdirSync(join(inFolder(to), '..'), { recursive: true })
  renameSync(inFolder(from), inFolder(to))
}

/** Their code is in the bundle. The licences require that their texts are in the image. */
function keepLicences(): void {
  const isLicence = /(^|\/)(licen[cs]e|notice|copying)[^/]*$/i
  const files = readdirSync(inFolder('files/node_modules'), { recursive: true, encoding: 'utf8' })
  for (const file of files.filter((name) => isLicence.test(name) && !/\.(c|m)?js$/.test(name)))
    cpSync(inFolder('files/node_modules', file), inFolder('runtime/licences', file), { recursive: true })
}

/** Joins all modules into few files, so that a process starts in two thirds of the time. Entry files keep their places. */
async function bundle(): Promise<void> {
  const source = inFolder('files/packages/cli/src')
  const entries = ['main', 'demo/name-gateway-main', 'fleet/keys-main', 'fleet/setup-main']
  const built = await rolldown({
    input: Object.fromEntries(entries.map((name) => [name, join(source, `${name}.js`)])),
    platform: 'node',
    // pg requires them only where they are installed.
    external: ['pg-native', 'pg-cloudflare'],
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(`expected a bundle without warnings, found: ${log.message}`)
    },
  })
  await built.write({
    dir: inFolder('zonemesh/packages/cli/src'),
    entryFileNames: '[name].js',
    // Beside `base`, whose code finds main.js by its own place.
    chunkFileNames: 'parts/[name]-[hash].js',
  })
}
