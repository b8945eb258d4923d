import { findKind } from '@zonemesh/core/registry.ts'
import type { JsonObject } from '@zonemesh/shared/base/base.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { apiResources } from '../src/commands/api-resources.ts'
import { describe } from '../src/commands/describe.ts'
import { descriptionLines } from '../src/output/description.ts'
import { type Rig, startGlobalRig, startZoneRig, timeout } from './command-rig.ts'

let rig: Rig

beforeEach(async () => {
  rig = await startGlobalRig()
})
afterEach(() => rig[Symbol.asyncDispose]())

const write = (...documents: readonly object[]) =>
  rig.client.need('POST', '/_commit', { documents, atomic: true, intent: 'ticket 7' })

/** Lines with the times left out. */
const timeless = (lines: readonly string[]) =>
  lines.map((line) => line.replace(/\d{4}-\S+Z/g, 'TIME').replace(/\(\d+s ago\)/g, '(AGO)'))

test('B58 describe shows a resource with its labels, its last change with author and reason, and its spec', async () => {
  await write(timeout('slow', { labels: { team: 'a' } }))
  await write(timeout('slow', { labels: { team: 'a' }, connect: '2s' }))
  const { code, printed } = await rig.run(describe, 'timeout', 'slow')
  expect(code).toBe(0)
  expect(timeless(printed)).toEqual([
    'Kind:        Timeout',
    'Mesh:        default',
    'Name:        slow',
    'Belongs to:  the global control plane',
    'Labels:      kuma.io/mesh=default',
    '             team=a',
    'Created:     TIME (AGO)',
    expect.stringMatching(/^Changed: {5}TIME \(AGO\) by mesh-system:admin: ticket 7, @\d+$/),
    'Fields:      conf.connectTimeout',
    'Spec:',
    '  sources:',
    '    - match:',
    '        kuma.io/service: "*"',
    '  destinations:',
    '    - match:',
    '        kuma.io/service: web',
    '  conf:',
    '    connectTimeout: 2s',
  ])
})

test('B58 describe shows the state of a zone, and the size of a secret instead of its data', async () => {
  await write({ type: 'Zone', name: 'east' }, { type: 'Secret', mesh: 'default', name: 's', data: 'aGVsbG8=' })
  const zone = (await rig.run(describe, 'zone/east')).printed
  expect(zone).toEqual(expect.arrayContaining(['Zone:', '  State:      not started']))
  expect(zone).toContain('  Reason:     no control plane has joined as this zone')
  const secret = (await rig.run(describe, 'secret', 's')).text
  expect(secret).toContain('data: (5 bytes)')
  expect(secret).not.toContain('aGVsbG8')
})

test.each([
  ['an absent name', ['timeout', 'slwo'], /^no Timeout "slwo" in mesh "default" at \S+; did you mean "slow"\?$/],
  ['an absent mesh', ['timeout', 'slow', '-m', 'x'], /^there is no mesh "x"/],
  ['no name', ['timeout'], /^expected KIND NAME$/],
  ['a kind', ['timeuot', 'x'], /unknown kind "timeuot"; did you mean "timeout"\?/],
] as const)('B58 describe explains wrong usage in one sentence: %s', async (_title, args, message) => {
  await write(timeout('slow'))
  await expect(rig.run(describe, ...args)).rejects.toThrow(message)
})

test('B58 describe lists what refuses a resource, what a proxy refuses, and fields that are not served', () => {
  const kind = findKind('Timeout')
  if (!kind) throw new Error('there is no kind Timeout')
  const item = { ...timeout('slow'), creationTime: '2026-01-01T00:00:00Z', modificationTime: '2026-01-01T00:00:00Z' }
  const verdict = { outcome: 'rejected', key: 'global/Timeout/default/slow', reason: 'too slow' }
  const other = { ...verdict, key: 'global/Timeout/shop/slow', reason: 'of another mesh' }
  const row = { kind: 'Timeout', mesh: 'default', name: 'slow', warning: 'conf.grpc: not served' }
  const status: JsonObject = {
    verdicts: [other],
    zones: [{ zone: 'east', verdicts: [{ ...verdict, subject: 'east/Dataplane/default/web-1' }, other], refused: [] }],
    unserved: [row, { ...row, name: 'slower', warning: 'of another name' }],
  }
  const lines = descriptionLines({
    kind,
    overview: { item, insight: undefined },
    version: undefined,
    status,
    nowMs: Date.UTC(2026, 0, 2),
  })
  const start = lines.indexOf('Refused or not served:')
  expect(lines.slice(start, start + 4)).toEqual([
    'Refused or not served:',
    '  rejected in east by Dataplane default/web-1: too slow',
    '  not served: conf.grpc: not served',
    'Spec:',
  ])
})

test('B58 describe of a proxy of a zone finds what concerns it by its own name, and what it refuses itself', () => {
  const kind = findKind('Dataplane')
  if (!kind) throw new Error('there is no kind Dataplane')
  const item: JsonObject = {
    type: 'Dataplane',
    mesh: 'default',
    name: 'web-1-d8fcbzz2bv4wbfb2',
    labels: { 'kuma.io/display-name': 'web-1', 'kuma.io/zone': 'east' },
    creationTime: '2026-01-01T00:00:00Z',
    modificationTime: '2026-01-01T00:00:00Z',
    networking: { address: '10.0.0.1' },
  }
  const refused = {
    outcome: 'rejected',
    key: 'global/Timeout/default/slow',
    reason: 'too slow',
    subject: 'east/Dataplane/default/web-1',
  }
  const subscription = { connectTime: '2026-01-01T00:00:00Z', version: { kumaDp: { version: '1.2.3' } } }
  const lines = descriptionLines({
    kind,
    overview: {
      item,
      insight: { subscriptions: [subscription], mTLS: { certificateExpirationTime: '2026-02-01T00:00:00Z' } },
    },
    version: undefined,
    status: { zones: [{ zone: 'east', verdicts: [refused] }] },
    nowMs: Date.UTC(2026, 0, 1, 1),
  })
  expect(lines).toEqual(
    expect.arrayContaining([
      'Belongs to:  zone east',
      '  Status:   online since 2026-01-01T00:00:00Z (60m)',
      '  Version:  1.2.3',
      '  Expires:    2026-02-01T00:00:00Z',
      '  refuses Timeout default/slow: too slow',
    ]),
  )
})

test('B59 api-resources lists each kind with its names, scope, where it is written and which way it is synced', async () => {
  const { printed } = await rig.run(apiResources)
  const cells = printed.map((line) => line.split(/ {2,}/).join('|'))
  expect(cells).toEqual([
    'KIND|PLURAL|SHORT|SCOPE|WRITTEN ON|SYNC|WRITABLE HERE',
    'Mesh|meshes|m|global|global|global to zones|yes',
    'Zone|zones|z|global|global|global to zones|yes',
    'GlobalSecret|globalsecrets|gs|global|global|not synced|yes (administrators)',
    'Secret|secrets|sec|mesh|global|not synced|yes (administrators)',
    'ZoneIngress|zoneingresses|zi|global|zone|zone to all zones|no',
    'ZoneEgress|zoneegresses|ze|global|zone|zone to global|no',
    'Dataplane|dataplanes|dp|mesh|zone|zone to global|no',
    'MeshGateway|meshgateways|mgw|mesh|global|global to zones|yes',
    'MeshGatewayRoute|meshgatewayroutes|mgwr|mesh|global|global to zones|yes',
    'Timeout|timeouts|to|mesh|global|global to zones|yes',
    'Retry|retries|re|mesh|global|global to zones|yes',
    'TrafficPermission|traffic-permissions|tp|mesh|global|global to zones|yes',
    'MeshTrafficPermission|meshtrafficpermissions|mtp|mesh|global|global to zones|yes',
  ])
  const zone = await startZoneRig()
  try {
    const json: readonly JsonObject[] = JSON.parse((await zone.run(apiResources, '-o', 'json')).text)
    // A zone without a global owns every kind.
    expect(json.every((one) => one['writable'] === true)).toBe(true)
  } finally {
    await zone[Symbol.asyncDispose]()
  }
})
