import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requestOnce, untilAnswer } from '@zonemesh/cli/base/http.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../../packaging/project.ts'
import { run as runCommand, until } from '../e2e/rig.ts'
import { compose } from './rig.ts'

const limitMs = 60_000

/** Calls the globals through the balancer, as the fleet tells users to. */
const zonemesh = (...args: string[]): Promise<string> => compose('run', '--rm', '--no-TTY', 'zonemesh', ...args)

const entrances = { east: 8080, south: 8081, nginx: 8082 }
type Entrance = keyof typeof entrances
const ask = (entrance: Entrance, path = '/') =>
  requestOnce({ host: '127.0.0.1', port: entrances[entrance], hostname: 'shop.example.com', path })
type Answer = Awaited<ReturnType<typeof ask>>
const isFromWest = ({ status, headers }: Answer): boolean => status === 200 && headers['x-zone'] === 'west'

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const [, block = ''] = /^## The fleet$[\s\S]*?^```sh\n([\s\S]*?)^```/m.exec(readme) ?? []
const [starting = '', ...others] = block.split('\n').map((line) => line.replace(/ {2,}#.*/, ''))

beforeAll(async () => {
  await compose('down', '--volumes', '--timeout', '5')
  // As README says; then the tests wait for what they need.
  await compose(...starting.replace('docker compose ', '').split(' '))
})
afterAll(async () => {
  await compose('down', '--volumes', '--timeout', '5')
})

interface State {
  readonly Service: string
  readonly State: string
  readonly Health: string
  readonly ExitCode: number
}

async function states(): Promise<readonly State[]> {
  const lines = await compose('ps', '--all', '--format', 'json')
  return lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

test('K14 after `docker compose up --build -d` every container is healthy, and the steps have ended', async () => {
  const found = await until(
    'every container is healthy',
    states,
    (all) => !all.some(({ Health: health }) => health === 'starting' || health === 'unhealthy'),
    limitMs,
  )
  const steps = found.filter(({ Service: name }) => ['keys', 'setup'].includes(name))
  expect(steps.map(({ State: state, ExitCode: code }) => [state, code])).toEqual([
    ['exited', 0],
    ['exited', 0],
  ])
  const others = found.filter((one) => !steps.includes(one))
  expect(others.length).toBeGreaterThan(20)
  expect(others.filter(({ Health: health }) => health !== 'healthy')).toEqual([])
  expect(await zonemesh('status', '--wait', '--timeout', '30s')).toMatch(
    /^(east|south|west) +current [\s\S]*^(east|south|west) +current/m,
  )
})

test.each(Object.keys(entrances) as Entrance[])(
  'K15 a request that enters at %s is answered in west',
  async (entrance) => {
    const answer = await untilAnswer(
      `${entrance} answers`,
      limitMs,
      () => ask(entrance),
      isFromWest,
      ({ body }) => body,
    )
    expect(JSON.parse(answer.body)).toMatchObject({ service: 'echo_demo_svc_8080', zone: 'west' })
  },
)

test('K16 `docker compose exec client curl http://echo.demo.svc.8080.mesh` works as typed, and other names still resolve', async () => {
  expect(
    JSON.parse(await compose('exec', '--no-TTY', 'client', 'curl', '-sS', 'http://echo.demo.svc.8080.mesh')),
  ).toMatchObject({
    zone: 'west',
    host: 'echo.demo.svc.8080.mesh',
  })
  const resolved = await compose('exec', '--no-TTY', 'client', 'getent', 'hosts', 'global', 'echo.demo.svc.8080.mesh')
  expect(resolved).toMatch(/^1[79]2\..* global$[\s\S]*^127\.160\..* echo\.demo\.svc\.8080\.mesh$/m)
  const absent = compose('exec', '--no-TTY', 'client', 'curl', '-sS', 'http://nothing.mesh')
  await expect(absent).rejects.toThrow('Could not resolve host: nothing.mesh')
})

const urls = readFileSync(join(root, 'fleet/urls.txt'), 'utf8')
/** The commands that the fleet prints: each ends where its explanation begins. Grafana cannot be started here. */
const printed = urls.split('\n').flatMap((line) => {
  const [, command] = /^ {2}((?:curl|docker) .*?)(?: {2,}.*)?$/.exec(line) ?? []
  return command === undefined || command.includes('grafana') ? [] : [command]
})

test('K17 one command prints every address with what to try', async () => {
  expect(await compose('run', '--rm', '--no-TTY', 'urls')).toBe(urls)
  expect(printed.length).toBeGreaterThan(10)
  const { services } = JSON.parse(await compose('--profile', '*', 'config', '--format', 'json'))
  const published: string[] = Object.values<{ ports?: { published: string }[] }>(services).flatMap(({ ports = [] }) =>
    ports.map(({ published: port }) => port),
  )
  expect(published.filter((port) => !urls.includes(`localhost:${port}`) && !urls.includes(`:${port}`))).toEqual([])
})

test.each([...new Set([...printed, ...others.filter(Boolean)])])(
  'K17 what the fleet prints works as typed, and so does README: %s',
  async (command) => {
    const typed = command
      .replace('curl ', 'curl -fsS ')
      .replace('compose exec', 'compose exec -T')
      .replace('compose run', 'compose run -T')
    const { code, stdout, stderr } = await runCommand('bash', ['-c', `cd '${root}' && ${typed}`], '', limitMs)
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.trim()).not.toBe('')
  },
)

test('K18 one global is killed: status answers, requests pass, and a receipt is complete', async () => {
  for (const victim of ['global-1', 'global-2']) {
    await compose('kill', victim)
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('east')))
    expect(answers.filter((answer) => !isFromWest(answer))).toEqual([])
    const timeout = `type: Timeout\nmesh: default\nname: patient\nsources: [{ match: { kuma.io/service: '*' } }]\ndestinations: [{ match: { kuma.io/service: '*' } }]\nconf: { connectTimeout: ${victim === 'global-1' ? 7 : 8}s }\n`
    await untilAnswer(
      'the zones have found the other global',
      limitMs,
      () => zonemesh('status'),
      isCurrent,
      (text) => text,
    )
    const apply = `cd '${root}' && docker compose run --rm -T zonemesh apply -f - --wait served@all --timeout 30s`
    const { code, stdout, stderr } = await runCommand('bash', ['-c', apply], timeout, limitMs)
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
    for (const zone of ['east', 'south', 'west'])
      expect(stdout).toMatch(new RegExp(`^${zone}: served after [\\d.]+ ms$`, 'm'))
    await compose('up', '--detach', '--no-recreate', '--wait', victim)
  }
})
const isCurrent = (text: string): boolean => (text.match(/^\w+ +current /gm) ?? []).length === 3

test('K22 keys and tokens are readable only for their owner and group, and a later start keeps all of it', async () => {
  const folders = 'postgres global-1 zone-east gateway-east user'
  const listed = () =>
    compose(
      'run',
      '--rm',
      '--no-TTY',
      '--entrypoint',
      'sh',
      'keys',
      '-c',
      `cd /data; stat -c '%U %a %n' ${folders}; find ${folders} -name work -prune -o -type f -perm /o+rwx -print; sha256sum */seal.key */ca.key */admin.key */password */proxy.join user/token`,
    )
  const before = await listed()
  expect(before.split('\n').slice(0, 5)).toEqual(folders.split(' ').map((name) => `zonemesh 750 ${name}`))
  expect(before).not.toMatch(/^\S+$/m)
  const store = /store (\S+),/.exec(await zonemesh('status'))?.[1]
  await compose('down', '--timeout', '5')
  await compose('up', '--detach', '--wait')
  expect(await listed()).toBe(before)
  expect(/store (\S+),/.exec(await zonemesh('status'))?.[1]).toBe(store)
  await untilAnswer(
    'the gateway answers',
    limitMs,
    () => ask('east'),
    isFromWest,
    ({ body }) => body,
  )
  expect(await zonemesh('get', 'timeouts')).toContain('patient')
}, 240_000)
