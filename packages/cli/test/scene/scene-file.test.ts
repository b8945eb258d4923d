import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readSceneFile } from '../../src/scene/scene-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'zonemesh-scene-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Writes a file of a scene and returns its path. */
function file(name: string, text: string): string {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

/** The scene of a text. The port of a name is its place in the list of open ports, from 30001. */
async function completed(text: string, variables: Readonly<Record<string, string>> = {}) {
  const scene = readSceneFile(file('zonemesh.yaml', text), variables)
  const names = [...scene.ports.keys()]
  return { ports: scene.ports, ...(await scene.complete((name) => 30_001 + names.indexOf(name))) }
}

test('UP1 a resource of a scene is completed: type, mesh, address, and the ports that it omits', async () => {
  const scene = await completed(`
zones:
  east:
    proxies:
      - resource: { name: gateway-1, networking: { gateway: { type: BUILTIN, tags: { kuma.io/service: edge } } } }
      - resource: { type: ZoneEgress }
  west:
    proxies:
      - resource: { type: ZoneIngress }
      - resource:
          name: echo-1
          mesh: shop
          networking:
            inbound:
              - { tags: { kuma.io/service: echo, kuma.io/protocol: http } }
              - { port: 7001, servicePort: 7002, serviceAddress: 127.0.0.9, tags: { kuma.io/service: other } }
              - { tags: { kuma.io/service: third } }
        echo: { version: v1 }
`)
  expect(scene.zones).toEqual(['east', 'west'])
  expect([...scene.ports]).toEqual([
    ['egress-east', 10_001],
    ['ingress-west', 10_002],
    ['echo-1', 20_001],
    ['echo-1.service', 21_001],
    ['echo-1.3', 20_002],
    ['echo-1.3.service', 21_002],
  ])
  expect(scene.proxies.map(({ zone, resource }) => ({ zone, resource }))).toEqual([
    {
      zone: 'east',
      resource: {
        type: 'Dataplane',
        mesh: 'default',
        name: 'gateway-1',
        networking: { address: '127.0.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } },
      },
    },
    {
      zone: 'east',
      resource: { type: 'ZoneEgress', name: 'egress-east', networking: { address: '127.0.0.1', port: 30_001 } },
    },
    {
      zone: 'west',
      resource: {
        type: 'ZoneIngress',
        name: 'ingress-west',
        networking: { address: '127.0.0.1', port: 30_002, advertisedAddress: '127.0.0.1', advertisedPort: 30_002 },
      },
    },
    {
      zone: 'west',
      resource: {
        type: 'Dataplane',
        mesh: 'shop',
        name: 'echo-1',
        networking: {
          address: '127.0.0.1',
          inbound: [
            {
              port: 30_003,
              servicePort: 30_004,
              serviceAddress: '127.0.0.1',
              tags: { 'kuma.io/service': 'echo', 'kuma.io/protocol': 'http' },
            },
            { port: 7001, servicePort: 7002, serviceAddress: '127.0.0.9', tags: { 'kuma.io/service': 'other' } },
            { port: 30_005, servicePort: 30_006, serviceAddress: '127.0.0.1', tags: { 'kuma.io/service': 'third' } },
          ],
        },
      },
    },
  ])
  expect(scene.proxies.map(({ echo }) => echo)).toEqual([
    undefined,
    undefined,
    undefined,
    { service: 'echo', version: 'v1', port: 30_004 },
  ])
})

test('UP2 placeholders of ports and variables are filled in the scene and in the files that it names', async () => {
  file('policies/mesh.yaml', 'type: Mesh\nname: {{mesh}}\n')
  file(
    'web.yaml',
    'type: Dataplane\nname: {{name}}\nnetworking:\n  inbound:\n    - port: {{port}}\n      tags: { kuma.io/service: web }\n',
  )
  const scene = await completed(
    `
vars: { mesh: shop }
policies: [policies, { type: MeshGateway, name: edge, conf: { listeners: [{ port: '\${port.edge}' }] } }]
zones:
  east:
    proxies:
      - resource: web.yaml
        vars: { name: '{{proxy}}', port: '\${port.web}' }
        run: [web, --port, '\${port.web.service}', --config, '\${folder}/web.conf', --dns, '\${resolver}']
        files: { web.conf: 'listen \${port.web.service}' }
try: ['curl http://127.0.0.1:\${port.edge}/']
`,
    { proxy: 'web-7', mesh: 'other' },
  )
  const [edge, web] = ['edge', 'web'].map((name) => 30_001 + [...scene.ports.keys()].indexOf(name))
  expect(scene.try).toEqual([`curl http://127.0.0.1:${edge}/`])
  expect(scene.policies.map(({ content }) => content)).toEqual([
    { type: 'Mesh', name: 'shop' },
    { type: 'MeshGateway', name: 'edge', conf: { listeners: [{ port: edge }] } },
  ])
  const [proxy] = scene.proxies
  expect(proxy?.name).toBe('web-7')
  expect(proxy?.resource).toMatchObject({ networking: { inbound: [{ port: web }] } })
  // The folder and the resolver are known only when the proxy runs.
  expect(proxy?.run?.slice(3)).toEqual(['--config', `\${folder}/web.conf`, '--dns', `\${resolver}`])
})

const dataplane = '{ name: web-1, networking: { inbound: [{ tags: { kuma.io/service: web } }] } }'
const wrong: readonly (readonly [string, string, string])[] = [
  ['no zone', 'policies: []\n', ':1: zones: expected "zone: { proxies: … }"'],
  ['an empty list of zones', 'policies: []\nzones: {}\n', ':2: zones: expected at least one zone'],
  ['an unknown field', 'zones: { east: }\nzone: { west: }\n', ':1: zone: unknown field'],
  ['an unknown field of a zone', 'zones:\n  east: { proxy: [] }\n', ':2: zones.east.proxy: unknown field'],
  ['a list of zones', 'zones: [east, west]\n', ':1: zones: expected "zone: { proxies: … }"'],
  ['bad YAML', 'zones:\n  east: [\n', ':3: '],
  [
    'a name of a zone that no folder may have',
    'zones: { "a/b": }\n',
    ':1: expected a name of lower case letters, digits and "-" for a zone, found "a/b"',
  ],
  [
    'a Mesh as a proxy',
    'zones:\n  east:\n    proxies:\n      - resource: { type: Mesh, name: a }\n',
    ':4: resource.type: expected Dataplane, ZoneIngress, ZoneEgress, found "Mesh"',
  ],
  [
    'a Dataplane without a name',
    'zones:\n  east:\n    proxies:\n      - resource: { networking: {} }\n',
    ':4: resource.name: expected a name of this Dataplane',
  ],
  [
    'two proxies of one name',
    `zones:\n  east:\n    proxies:\n      - resource: ${dataplane}\n      - resource: ${dataplane}\n`,
    ':5: expected a name that nothing else in the scene has, found "web-1" twice',
  ],
  [
    'a proxy with the name of a zone',
    `zones:\n  web-1:\n    proxies:\n      - resource: ${dataplane}\n`,
    ':4: expected a name that nothing else in the scene has, found "web-1" twice',
  ],
  [
    'an echo without an inbound',
    'zones:\n  east:\n    proxies:\n      - { resource: { type: ZoneIngress }, echo: {} }\n',
    ':4: echo: ZoneIngress ingress-east has no inbound for a service',
  ],
  [
    'an inbound without tags',
    'zones:\n  east:\n    proxies:\n      - resource: { name: a, networking: { inbound: [{ port: 70000 }] } }\n',
    ':4: Dataplane a: networking.inbound[0]',
  ],
  [
    'an unknown placeholder',
    `zones:\n  east:\n    proxies:\n      - resource: { name: '\${nme}x', networking: {} }\n`,
    `:4: expected a name of lower case letters, digits and "-" for a proxy, found "\${nme}x"`,
  ],
  [
    'an unknown placeholder in an address',
    `zones:\n  east:\n    proxies:\n      - resource: { name: a, networking: { address: '\${host}' } }\n`,
    `:4: expected \${port.NAME}, \${folder} or \${resolver}, found "\${host}"`,
  ],
  [
    'a command as one text',
    `zones:\n  east:\n    proxies:\n      - { resource: ${dataplane}, run: ./web }\n`,
    ':4: zones.east.proxies[0].run: expected a list: [command, argument, …]',
  ],
]

test.each(wrong)('UP3 a scene file with %s is refused with its file, line and field', async (_, text, message) => {
  await expect(completed(text)).rejects.toThrow(`${join(folder, 'zonemesh.yaml')}${message}`)
})

test('UP3 a scene file that does not exist, and one that names a file that does not exist, are refused with the remedy', async () => {
  expect(() => readSceneFile(join(folder, 'none.yaml'), {})).toThrow(
    /^cannot read the scene file .*none\.yaml: .*zonemesh init/,
  )
  await expect(completed('zones: { east: { proxies: [{ resource: none.yaml }] } }')).rejects.toThrow(
    `cannot read ${join(folder, 'none.yaml')}`,
  )
  await expect(completed('policies: [none]\nzones: { east: }')).rejects.toThrow(`cannot read ${join(folder, 'none')}`)
})
