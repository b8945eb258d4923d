import { expect, test } from 'vitest'
import { assignment, authoritySecret, certificateSecret, cluster, listener, route } from './resources.ts'
import { createCertificate, freePort, probe, startUpstream, until } from './rig.ts'
import { startScene } from './scene.ts'

/** Envoy refuses a connect timeout of 0 s. */
const refusedCluster = (secrets?: { identity: string; authority: string }) =>
  cluster('C', { connectSeconds: 0, ...(secrets ? { secrets } : {}) })

test('X25 a new Envoy never acknowledges the assignment and secrets of its only cluster, which it refused, and everything else is served', async () => {
  await using scene = await startScene()
  await using upstream = await startUpstream('a')
  const { certificate, key } = await createCertificate()
  scene
    .put('cluster', refusedCluster({ identity: 'identity', authority: 'authority' }))
    .put('assignment', assignment('C', [upstream.port]))
    .put('secret', certificateSecret('identity', certificate, key), authoritySecret('authority', certificate))
  await scene.settle()
  expect(scene.zone.refusals.map(({ name }) => name)).toEqual(['C'])
  expect(scene.flow()).not.toContain('<- EDS ack')
  // Later changes are served too, and the cluster works as soon as it is valid.
  const port = await freePort()
  scene
    .put('cluster', cluster('C'))
    .put('route', route('r', 'C'))
    .put('listener', listener('L', port, { routes: 'r' }))
  await scene.settle()
  await until('the mended cluster serves', async () => (await probe(port)) === 'a')
})

test('X25 a new Envoy never acknowledges routes and secrets of its only listener, which it refused, and everything else is served', async () => {
  await using scene = await startScene()
  await using upstream = await startUpstream('a')
  const { certificate, key } = await createCertificate()
  const port = await freePort()
  scene
    .put('cluster', cluster('C'))
    .put('assignment', assignment('C', [upstream.port]))
    .put('route', route('r', 'C'))
    .put('secret', certificateSecret('shown', certificate, key))
    .put('listener', listener('L', port, { routes: 'r', secret: 'shown', address: 'no-address' }))
  await scene.settle()
  expect(scene.zone.refusals.map(({ name }) => name)).toEqual(['L'])
  scene.put('listener', listener('L', port, { routes: 'r', secret: 'shown' }))
  await scene.settle()
  await until('the mended listener serves', async () => (await probe(port, true)) === 'a')
})
