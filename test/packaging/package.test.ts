import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { specifiersOf, toJavaScript } from '../../packaging/javascript.ts'
import { manifest, root, runtimeFolders } from '../../packaging/project.ts'
import { stagePackage } from '../../packaging/stage.ts'
import { parse } from '../syntax.ts'

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-package-'))
  await stagePackage(folder)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('IN2 types become blanks, so positions stay, and specifiers become paths of files in the package', () => {
  const code = `import type { Row } from '@zonemesh/shared/resource/resource.ts'
import { ok } from '@zonemesh/shared/base/base.ts'
import { Frame } from '@zonemesh/shared/gen/sync_pb.js'
import { z } from 'zod'
export { help } from './help.ts'
const load = async (): Promise<unknown> => (await import('../base/http.ts')).get
const said: string = "from '@zonemesh/shared/base/base.ts'"
`
  const javaScript = toJavaScript(code, 'packages/cli/src/commands/one.ts')
  expect(javaScript.split('\n').map((line) => line.trimEnd())).toEqual([
    '',
    "import { ok } from '../../../shared/src/base/base.js'",
    "import { Frame } from '../../../shared/gen/sync_pb.js'",
    "import { z } from 'zod'",
    "export { help } from './help.js'",
    "const load = async ()                   => (await import('../base/http.js')).get",
    `const said         = "from '@zonemesh/shared/base/base.ts'"`,
    '',
  ])
})

test('IN3 the package has every file that it imports, the run-time dependencies and nothing for developers', () => {
  const all = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  expect(all.filter((file) => /\.ts$|\.map$|(^|\/)tests?(\/|$)/.test(file))).toEqual([])
  const files = all.filter((file) => !file.startsWith('node_modules'))
  expect(files.filter((file) => /\.test\.|(^|\/)proto(\/|$)/.test(file))).toEqual([])
  const bundled = runtimeFolders.filter((name) => !name.startsWith('node_modules/@types/'))
  expect(bundled.filter((name) => !all.includes(join(name, 'package.json')))).toEqual([])
  const imports = files
    .filter((file) => file.endsWith('.js') && !file.includes('/gen/'))
    .flatMap((file) =>
      specifiersOf(parse(readFileSync(join(folder, file), 'utf8'))).map(({ specifier }) => ({ file, specifier })),
    )
  expect(imports.length).toBeGreaterThan(1_000)
  const packageOf = (specifier: string): string => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? ''
  const missing = imports.filter(({ file, specifier }) =>
    specifier.startsWith('.')
      ? !existsSync(join(folder, dirname(file), specifier))
      : !isBuiltin(specifier) && manifest.dependencies[packageOf(specifier)] === undefined,
  )
  expect(missing).toEqual([])
  const packed = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  expect(packed).toMatchObject({ dependencies: manifest.dependencies, bundleDependencies: true })
  expect(Object.keys(packed)).not.toContain('devDependencies')
  // Scenes, the demo and the generated code are read or loaded at run time.
  for (const file of ['bin/zonemesh', 'scenes/two-zones/zonemesh.yaml', 'demo/scene.yaml', 'LICENSE', 'CHANGELOG.md'])
    expect(files).toContain(file)
})

test('IN19 the package has the files for Prometheus and Grafana that its pages name', () => {
  const pages = readdirSync(join(folder, 'docs')).filter((name) => name.endsWith('.md'))
  const named = pages.flatMap((name) =>
    [...readFileSync(join(folder, 'docs', name), 'utf8').matchAll(/`(monitoring\/[\w.-]+)`/g)].map(
      ([, file = '']) => file,
    ),
  )
  expect([...new Set(named)].sort()).toEqual(['monitoring/alerts.yml', 'monitoring/dashboard.json'])
  expect(named.filter((file) => !existsSync(join(folder, file)))).toEqual([])
})

test('IN3 the dependencies of the lock file that run in production are those of package.json and what they need', () => {
  for (const name of Object.keys(manifest.dependencies)) expect(runtimeFolders).toContain(`node_modules/${name}`)
  const manifests = runtimeFolders.map((name) => JSON.parse(readFileSync(join(root, name, 'package.json'), 'utf8')))
  const needed = manifests.flatMap((one) => Object.keys(one.dependencies ?? {}))
  expect(needed.filter((name) => !runtimeFolders.includes(`node_modules/${name}`))).toEqual([])
})
