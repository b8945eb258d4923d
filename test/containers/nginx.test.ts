import { createRoot, createServerCertificate, lifetime } from '@zonemesh/plane/authority/x509.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Place } from '../contract/postgres-proxy.ts'
import { local, statusOf, temporaryFolder, until } from '../e2e/rig.ts'
import { type Container, gatewayOf, startNetwork } from './container.ts'
import { startRelay } from './relay.ts'
import { startNginx } from './rig.ts'
import { mustWrite, policiesOf, type Scene, startScene, untilCurrent } from './scene.ts'

const port = 8443
const rows = 100

/** Terminates TLS in front of a global at this place, as in test/e2e/websocket.test.ts. */
const configOf = (place: Place) => `
pid /run/nginx.pid;
# A reload ends the connections of the old worker, as it does where workers may not stay for ever.
worker_shutdown_timeout 200ms;
events { worker_connections 64; }
http {
  log_format bytes '$status $bytes_sent';
  server {
    listen ${port} ssl;
    access_log /var/log/nginx/sessions.log bytes;
    ssl_certificate /etc/nginx/site.crt;
    ssl_certificate_key /etc/nginx/site.key;
    location /_sync {
      proxy_pass http://${place.host}:${place.port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 3s;
    }
  }
}
`

let parts: AsyncDisposableStack
let nginx: Container
let scene: Scene
beforeAll(async () => {
  parts = new AsyncDisposableStack()
  const network = parts.use(await startNetwork())
  const folder = parts.use(temporaryFolder())
  const authority = await createRoot('the authority of nginx', lifetime(Date.now(), 1))
  const server = await createServerCertificate(authority, [local], lifetime(Date.now(), 1))
  scene = parts.use(
    await startScene({
      async through(apiPort) {
        const toGlobal = parts.use(
          await startRelay(async () => ({ host: local, port: apiPort }), await gatewayOf(network)),
        )
        nginx = parts.use(
          await startNginx(network, port, {
            'nginx.conf': configOf(toGlobal),
            'site.crt': server.certificate,
            'site.key': server.key,
          }),
        )
        const address = `wss://${local}:${nginx.relay.port}?tls=system`
        return { address, authorityFile: folder.file('authority.crt', authority.certificate) }
      },
    }),
  )
  for (let number = 0; number < rows; number += 1) await mustWrite(scene, `row-${number}`, 1)
  await untilArrived('row-99')
})
afterAll(() => parts.disposeAsync())

const untilArrived = (name: string) =>
  until(
    `${name} is in the zone`,
    () => policiesOf(scene.zone),
    (found) => name in found,
  )

/** The bytes that nginx sent to the zone in each session that has ended. */
const sessions = async (): Promise<readonly number[]> =>
  (await nginx.run('cat', '/var/log/nginx/sessions.log'))
    .split('\n')
    .filter((line) => line.startsWith('101 '))
    .map((line) => Number(line.split(' ')[1]))

test('W2 after a reload of nginx in a container the zone resumes at its position, and almost nothing is sent again', async () => {
  const before = await untilCurrent(scene)
  expect(await sessions()).toEqual([])
  await nginx.run('nginx', '-s', 'reload')
  const resumed = await untilCurrent(scene, before)
  await mustWrite(scene, 'after-reload', 1)
  await untilArrived('after-reload')
  await nginx.run('nginx', '-s', 'reload')
  await untilCurrent(scene, resumed)
  const [first = 0, second = 0] = await until('nginx reports both sessions', sessions, (all) => all.length === 2)
  expect(second).toBeLessThan(first / 3)
})

test.each([
  { fault: 'is killed', inject: () => nginx.kill(), heal: () => nginx.start() },
  { fault: 'is silent', inject: () => nginx.pause(), heal: () => nginx.unpause() },
])(
  'W3 while nginx in a container $fault the zone reports that it waits, and afterwards it reconnects',
  async ({ fault, inject, heal }) => {
    const before = await untilCurrent(scene)
    await inject()
    const { uplink } = await until(
      'the zone waits',
      () => statusOf(scene.zone),
      (status) => status.uplink.phase !== 'connected',
    )
    expect(uplink.reason).not.toBe('')
    const name = `while-${fault.replaceAll(' ', '-')}`
    await mustWrite(scene, name, 1)
    expect(await policiesOf(scene.zone)).not.toHaveProperty([name])
    await heal()
    await untilCurrent(scene, before)
    await untilArrived(name)
    expect(Object.keys(await policiesOf(scene.zone)).length).toBeGreaterThan(rows)
  },
)
