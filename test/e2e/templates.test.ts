import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { templateNames } from '@zonemesh/cli/scene/templates.ts'
import { afterAll, expect, test } from 'vitest'
import { root, temporaryFolder } from './rig.ts'
import { createShell, useFreePorts } from './scene-folder.ts'

const folder = temporaryFolder()
const shell = createShell(folder)
afterAll(() => folder[Symbol.dispose]())

/** What the commands that a scene prints show, in their order. */
const answers: Readonly<Record<(typeof templateNames)[number], readonly RegExp[]>> = {
  'two-zones': [/"zone":"west","version":"v1"/, /^west +current /m],
  'gateway-tls': [/"zone":"west"/, /^HTTP\/1.1 301 (.*\r\n)*location: https:\/\/shop\.example\.com:/],
  'delegated-nginx': [/"zone":"west".*"host":"echo\.demo\.svc\.8080\.mesh"/],
  'cross-mesh': [/"service":"ledger","zone":"west"/],
  egress: [/"zone":"west"/, /^✔ egress +ZoneEgress egress-east (.*\n)*the path is open$/m],
}

test.each(templateNames)(
  'UP12 the scene %s starts as init writes it, and every command that it prints works',
  async (name) => {
    const place = join(folder.path, name)
    expect(await shell(`zonemesh init ${name} --template ${name}`, folder.path)).toMatchObject({ code: 0, stderr: '' })
    await useFreePorts(place)
    try {
      const started = await shell('zonemesh up --detach', place)
      expect(started.code, started.output).toBe(0)
      const lines = started.stdout.split('\n').filter((line) => line.startsWith('  '))
      expect(lines.length).toBe(answers[name].length)
      for (const [index, line] of lines.entries()) {
        const { stdout, code, stderr } = await shell(line.replace('curl ', 'curl -sS '), place)
        expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' })
        expect(stdout, line).toMatch(answers[name][index] ?? /^$/)
      }
    } finally {
      await shell('zonemesh down', place)
    }
  },
)

test('UP12 each folder of scenes is a template of init', () => {
  expect(readdirSync(join(root, 'scenes')).sort()).toEqual([...templateNames].sort())
})
