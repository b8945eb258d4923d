import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { validate } from '../src/commands/validate.ts'
import { runCommand } from './command-rig.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zonemesh-validate-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs the command on files with these texts, and returns its lines without the folder. */
async function check(texts: Readonly<Record<string, string>>, ...args: string[]) {
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text)
  const { code, printed } = await runCommand(validate, ['-f', folder, ...args])
  return { code, lines: printed.map((line) => line.replaceAll(`${folder}/`, '')) }
}

const good = `type: Timeout
mesh: default
name: good
sources: [{ match: { kuma.io/service: '*' } }]
destinations: [{ match: { kuma.io/service: web } }]
conf: { connectTimeout: 1s }
`

test('B57 validate judges files as the control plane does, and shows the line of each violation', async () => {
  const bad = `# a comment
type: Timeout
mesh: default
name: bad
sources:
  - match:
      kuma.io/service: "*"
  - match:
      kuma.io/service: ""
destinations:
  - match:
      kuma.io/service: web
conf:
  connect_timeout: soon
  http:
    idleTimout: 1s
---
type: MeshGatewy
name: x
---
a: [
`
  expect(await check({ 'bad.yaml': bad, 'good.yaml': good })).toEqual({
    code: 1,
    lines: [
      'bad.yaml:14: Timeout default/bad: conf.connectTimeout: expected a duration such as 10s, 1h30m or 25ms',
      'bad.yaml:16: Timeout default/bad: conf.http.idleTimout: unknown field; did you mean "idleTimeout"?',
      expect.stringMatching(
        /^bad\.yaml:18: MeshGatewy x: type: unknown kind "MeshGatewy"; did you mean "MeshGateway"\? \(one of: /,
      ),
      expect.stringMatching(/^bad\.yaml:22: not valid YAML: .*\]$/),
      '4 documents: 4 violations',
    ],
  })
})

test('B57 validate shows the line of a rule between fields, of a quoted key and of the Kubernetes form', async () => {
  const text = `${good.replace("'*'", '""')}---
apiVersion: kuma.io/v1alpha1
kind: Timeout
mesh: default
metadata:
  name: Bad
spec:
  destinations: [{ match: { kuma.io/service: web } }]
  sources: []
  conf:
    connectTimeout: 0s
`
  expect((await check({ 'a.yaml': text })).lines).toEqual([
    'a.yaml:4: Timeout default/good: sources[0].match["kuma.io/service"]: tag value must be non-empty',
    expect.stringMatching(/^a\.yaml:12: name: invalid characters/),
    expect.stringMatching(/^a\.yaml:15: sources: must have at least one element/),
    expect.stringMatching(/^a\.yaml:17: conf\.connectTimeout: /),
    '2 documents: 4 violations',
  ])
})

test('B57 validate finds a resource that is written twice, and warns about fields that are not served and about unknown meshes', async () => {
  const other = good
    .replace('mesh: default', 'mesh: shop')
    .replace('conf: {', 'conf: { grpc: { streamIdleTimeout: 5s },')
  expect(
    await check({ 'a.yaml': good, 'b.yaml': `${good}---\n${other}---\n${other.replace('name: good', 'name: two')}` }),
  ).toEqual({
    code: 1,
    lines: [
      'b.yaml:13: warning: Timeout shop/good: conf.grpc: not served; gRPC streams follow conf.http',
      'b.yaml:20: warning: Timeout shop/two: conf.grpc: not served; gRPC streams follow conf.http',
      expect.stringMatching(/^b\.yaml:1: Timeout default\/good: is also in a\.yaml:1; one commit takes it once$/),
      'b.yaml:9: warning: no document describes mesh "shop": it must exist on the control plane',
      '4 documents: 1 violation, 3 warnings',
    ],
  })
  const alone = await check({ 'a.yaml': 'type: Mesh\nname: shop\n', 'b.yaml': other })
  expect(alone).toMatchObject({ code: 0, lines: [{}, '2 documents: valid, 1 warning'] })
})

test('B57 validate --kind checks only documents of that kind', async () => {
  const files = { 'a.yaml': good, 'b.yaml': 'type: Mesh\nname: [1]\n' }
  expect(await check(files, '--kind', 'timeouts')).toEqual({ code: 0, lines: ['1 document: valid'] })
  expect((await check(files, '--kind', 'mesh')).code).toBe(1)
  await expect(check(files, '--kind', 'retry')).rejects.toThrow(/^no documents of Retry in /)
  await expect(check(files, '--kind', 'retri')).rejects.toThrow(/unknown kind "retri"; did you mean/)
})
