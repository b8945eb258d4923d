import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { version as ownVersion } from '@zonemesh/shared/base/version.ts'
import { expect, test } from 'vitest'
import { composeChangelog } from '../../packaging/changelog.ts'
import { manifest, root } from '../../packaging/project.ts'

const textOf = (path: string): string => readFileSync(join(root, path), 'utf8')
const { version } = manifest

test('IN1 the version of package.json is that of every package, page, label and git tag', () => {
  const found = {
    'zonemesh version': ownVersion,
    'package-lock.json': JSON.parse(textOf('package-lock.json')).version,
    'CHANGELOG.md': /^## (.*)$/m.exec(textOf('CHANGELOG.md'))?.[1],
    Dockerfile: /^ARG VERSION=(.*)$/m.exec(textOf('Dockerfile'))?.[1],
    ...Object.fromEntries(
      readdirSync(join(root, 'packages')).map((name) => [
        `packages/${name}`,
        JSON.parse(textOf(`packages/${name}/package.json`)).version,
      ]),
    ),
    ...Object.fromEntries(
      [...textOf('docs/install.md').matchAll(/zonemesh[-_](\d+\.\d+\.\d+)\S*/g)].map(([file, one]) => [file, one]),
    ),
  }
  expect(found).toEqual(Object.fromEntries(Object.keys(found).map((name) => [name, version])))
  expect(Object.keys(found).filter((name) => /^zonemesh[-_]/.test(name)).length).toBeGreaterThan(2)
  const tags = execFileSync('git', ['tag', '--points-at', 'HEAD'], { cwd: root, encoding: 'utf8' }).split('\n')
  expect(tags.filter((tag) => /^v\d/.test(tag) && tag !== `v${version}`)).toEqual([])
})

test('IN4 CHANGELOG.md is composed of the notes in changes/', () => {
  expect(textOf('CHANGELOG.md'), 'run `npm run changelog`').toBe(composeChangelog())
})
