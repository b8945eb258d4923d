import { typeUrls, type XdsResource } from '@zonemesh/core/emit/table.ts'
import { createVirtualClock } from '@zonemesh/shared/env/clock.ts'
import { createSeededRandom } from '@zonemesh/shared/env/random.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { createMemoryContents } from '@zonemesh/shared/store/memory.ts'
import { expect, test } from 'vitest'
import { global, own, startLife } from '../quarantine/life.ts'

const edge = own('Dataplane', 'edge-1')
const name = 'cert.rsa:secret:shop'

test('Z29 a renewed secret is sent to the proxies that use it although nothing else changed, and a table waits for its first secret', async () => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const contents = createMemoryContents({ clock, random: createSeededRandom(1) })
  let certificate: XdsResource | undefined
  const life = await startLife({ clock, contents, certificate: () => certificate })
  const listener = {
    port: 443,
    protocol: 'HTTPS',
    hostname: 'shop.example.com',
    tls: { mode: 'TERMINATE', certificates: [{ secret: 'shop' }] },
  }
  await life.put(
    [global('Mesh', 'default', ''), {}],
    [
      global('MeshGateway', 'edge'),
      { selectors: [{ match: { 'kuma.io/service': 'edge' } }], conf: { listeners: [listener] } },
    ],
    [
      global('GatewayCertificate', 'shop.east'),
      { secret: 'shop', zone: 'east', keyType: 'rsa', names: [], notAfterMs: 1, fingerprint: 'f', sealed: 's' },
    ],
    [edge, { networking: { address: '10.0.0.1', gateway: { type: 'BUILTIN', tags: { 'kuma.io/service': 'edge' } } } }],
  )
  const { table } = life.engine.open(keyText(edge), { canBindPort80: true })
  const handed = () => table.value && [table.value.mark, table.value.resources.get(typeUrls.secret)?.get(name)?.version]
  const renew = (version: string) => {
    certificate = { name, version, bytes: new Uint8Array() }
    life.engine.refresh()
  }
  expect(handed()).toBeUndefined()
  renew('first')
  expect(handed()).toEqual([1, 'first'])
  life.engine.refresh()
  expect(handed()).toEqual([1, 'first'])
  renew('second')
  expect(handed()).toEqual([2, 'second'])
  life.stop()
})
