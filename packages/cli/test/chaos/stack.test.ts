import { afterAll, beforeAll, expect, test } from 'vitest'
import { createUser, type User } from '../rig.ts'

let user: User
beforeAll(() => {
  user = createUser()
})
afterAll(() => user[Symbol.dispose]())

const chaos = async (...args: readonly string[]) => {
  const { code, stderr } = await user.run(['chaos', ...args])
  return `${code} ${stderr.replace(/^zonemesh chaos \w+: /, '').split('\n')[0]}`
}

const whole = {
  ...{ version: 1, folder: '/nowhere', token: 'a', control: { address: 'http://127.0.0.1:9', token: 'b' } },
  ...{ global: { api: 'http://127.0.0.1:9' }, zones: {} },
  scene: { mesh: 'm', gateway: 'g', listener: 'l', hostname: 'h', entrance: '127.0.0.1:9', services: [] },
}

test.each([
  ['other text', 'expected JSON of `zonemesh demo --chaos`, found other text'],
  ['[]', 'expected what `zonemesh demo --chaos` writes there, found a list'],
  [{ ...whole, version: 2 }, 'version: expected 1, found 2: use the zonemesh that has started the stack'],
  [
    { ...whole, control: { address: 5, token: 'b' } },
    'control.address: expected what `zonemesh demo --chaos` writes there, found 5',
  ],
  [
    { ...whole, zones: { east: {} } },
    'zones.east.api: expected what `zonemesh demo --chaos` writes there, found nothing',
  ],
  [
    { ...whole, scene: { ...whole.scene, services: 'secret' } },
    'scene.services: expected what `zonemesh demo --chaos` writes there, found a text',
  ],
])('B34 a wrong stack file is explained with its place and what was found: %j', async (content, expected) => {
  const file = user.file('stack.json', typeof content === 'string' ? content : JSON.stringify(content))
  expect(await chaos('kill', 'global', '--stack', file)).toBe(`1 ${file}: ${expected}`)
})

test('B35 a name that is no plane, proxy or service of the stack is refused before anything is done', async () => {
  const gateway = { name: 'gateway-1', kind: 'gateway', zone: 'east', service: 'g' }
  const content = { ...whole, zones: { east: { api: 'a', dns: 'b' } }, scene: { ...whole.scene, targets: [gateway] } }
  const file = user.file('stack.json', JSON.stringify(content))
  for (const fault of ['kill', 'pause'])
    expect(await chaos(fault, 'gateway-2', '--stack', file)).toBe(
      '2 unknown plane "gateway-2"; planes of this stack: global, zone-east; proxies and services: gateway-1',
    )
})

test('B34 durations of chaos commands have the units of all other options', async () => {
  const file = user.file('stack.json', JSON.stringify(whole))
  const stack = ['--stack', file] as const
  for (const long of ['1d', '2w', '1h30m', '500ms'])
    for (const words of [
      ['kill', 'global', '--for', long],
      ['delay', 'east', long],
      ['flap', 'east', '--every', long],
    ])
      expect(await chaos(...words, ...stack)).toMatch(/^1 .*cannot reach the stack in \/nowhere/)
  expect(await chaos('kill', 'global', '--for', '5x', ...stack)).toBe(
    '2 --for: expected a duration such as 30s, 12h, 30d, found "5x"',
  )
  expect(await chaos('delay', 'east', '5x', ...stack)).toBe('2 expected a time such as 300ms, found "5x"')
})
