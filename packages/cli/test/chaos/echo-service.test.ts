import { Agent } from 'node:http'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { requestOnce } from '../../src/base/http.ts'
import { type EchoService, startEchoService } from '../../src/scene/echo-service.ts'
import { blockPorts } from '../../src/scene/ports.ts'

const host = '127.0.0.1'
let port: number
let service: EchoService
beforeEach(async () => {
  port = (await blockPorts(systemRandom, 1))()
  service = await startEchoService({ service: 'echo', zone: 'west', version: 'v1' }, host, port)
})
afterEach(() => service.stop())

/** Each request has a connection of its own. */
const ask = () => requestOnce({ host, port, hostname: 'echo', path: '/', agent: new Agent() })

test('B35 a service in the process of the demo refuses connections while it is stopped, and answers again after its start', async () => {
  expect((await ask()).status).toBe(200)
  await service.stop()
  expect(service.isRunning()).toBe(false)
  await expect(ask()).rejects.toThrow('ECONNREFUSED')
  await service.start()
  expect([service.isRunning(), (await ask()).status]).toEqual([true, 200])
})

test('B35 a service that is paused accepts requests and answers them when it is resumed', async () => {
  service.pause()
  const order: string[] = []
  const answer = ask().then(({ status }) => order.push(`answered ${status}`))
  // A request to another server takes the same way, and it is answered meanwhile.
  await using other = await disposable(
    startEchoService({ service: 'b', zone: '', version: '' }, host, (await blockPorts(systemRandom, 1))()),
  )
  const [, otherPort] = other.address.split(':')
  await requestOnce({ host, port: Number(otherPort), hostname: 'echo', path: '/' })
  order.push('resumed')
  service.resume()
  await answer
  expect(order).toEqual(['resumed', 'answered 200'])
})

async function disposable(starting: Promise<EchoService>) {
  const { address, stop } = await starting
  return { address, [Symbol.asyncDispose]: stop }
}
