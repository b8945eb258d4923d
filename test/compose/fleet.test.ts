import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { requestOnce, untilAnswer } from '@zonemesh/cli/base/http.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from '../../packaging/project.ts'
import { run as runCommand, startTraffic, until } from '../e2e/rig.ts'
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
  // Also the relay of a fleet for chaos, which would keep the volume with the keys.
  await compose('down', '--volumes', '--remove-orphans', '--timeout', '5')
  // As README says; then the tests wait for what they need.
  await compose(...starting.replace('docker compose ', '').split(' ')).catch(async (thrown: unknown) => {
    // The output of `up` does not state why a step failed.
    throw new Error(await compose('logs', '--no-color', 'setup', 'global-1', 'global-2'), { cause: thrown })
  })
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
    await untilAnswer(
      'the zones have found the other global',
      limitMs,
      () => zonemesh('status'),
      isCurrent,
      (text) => text,
    )
    const apply = `cd '${root}' && docker compose run --rm -T zonemesh apply -f - --wait served@all --timeout 30s`
    const { code, stdout, stderr } = await runCommand(
      'bash',
      ['-c', apply],
      timeoutOf(victim === 'global-1' ? 7 : 8),
      limitMs,
    )
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
    for (const zone of ['east', 'south', 'west'])
      expect(stdout).toMatch(new RegExp(`^${zone}: served after [\\d.]+ ms$`, 'm'))
    await compose('up', '--detach', '--no-recreate', '--wait', victim)
  }
})
const timeoutOf = (seconds: number): string =>
  `type: Timeout\nmesh: default\nname: patient\nsources: [{ match: { kuma.io/service: '*' } }]\ndestinations: [{ match: { kuma.io/service: '*' } }]\nconf: { connectTimeout: ${seconds}s }\n`
const isCurrent = (text: string): boolean => (text.match(/^\w+ +current /gm) ?? []).length === 3

interface Report {
  readonly redis?: { readonly phase: string; readonly reason: string }
  readonly uplink?: { readonly phase: string; readonly current: boolean; readonly epoch: number }
  readonly replicas?: readonly { readonly host: string; readonly leads: boolean }[]
  readonly proxies?: readonly { readonly state: string }[]
}
const replicasOfWest = ['zone-west-1', 'zone-west-2']
/** The status of one replica, which it prints in its container. The balancer would choose the replica. */
const reportOf = async (plane: string): Promise<Report> =>
  JSON.parse(
    await compose(
      ...['exec', '--no-TTY', plane, 'node', '-e'],
      "fetch('http://127.0.0.1:5681/_status').then((reply) => reply.text()).then(console.log)",
    ),
  )
/** The service of the replica that leads, and that of the other one. The host of a replica is the id of its container. */
async function leaderAndOther(): Promise<readonly [string, string]> {
  const { replicas } = await until(
    'both replicas of west are known, and one leads',
    () => reportOf('zone-west-1'),
    ({ replicas: all = [] }) => all.length === 2 && all.filter(({ leads }) => leads).length === 1,
  )
  const host = replicas?.find(({ leads }) => leads)?.host ?? 'nobody'
  const ids = await Promise.all(replicasOfWest.map((name) => compose('ps', '--quiet', '--no-trunc', name)))
  const [first = '', second = ''] = replicasOfWest
  return ids[0]?.startsWith(host) ? [first, second] : [second, first]
}
const isWhole = ({ uplink, proxies = [] }: Report): boolean =>
  uplink?.phase === 'connected' && uplink.current && proxies.length === 4 && proxies.every(isConnected)
const isConnected = ({ state }: { readonly state: string }): boolean => state === 'connected'

test('K23 the status of west shows two replicas at both of them, one of them leads, and each sidecar knows both', async () => {
  const [leader, other] = await leaderAndOther()
  for (const name of [leader, other]) {
    const report = await until(`${name} shows the session and all proxies`, () => reportOf(name), isWhole)
    expect(report.replicas?.map(({ leads }) => leads)).toEqual(name === leader ? [true, false] : [false, true])
  }
  for (const sidecar of ['echo-1-sidecar', 'echo-2-sidecar']) {
    const bootstrap = await compose('exec', '--no-TTY', sidecar, 'cat', '/data/work/bootstrap.json')
    expect([...bootstrap.matchAll(/"address":"(zone-\S+?)"/g)].map(([, host]) => host).sort()).toEqual(replicasOfWest)
  }
})

test('K24 the replica of west that leads is killed under load: the other one has the session within 5 s, and no request fails', async () => {
  const [leader, other] = await leaderAndOther()
  const before = (await reportOf(other)).uplink?.epoch ?? 0
  await using traffic = startTraffic(() => ask('east'), 4)
  await traffic.more(100)
  await compose('kill', leader)
  const report = await until(
    `${other} leads and has a session`,
    () => reportOf(other),
    (one) =>
      one.replicas?.length === 1 &&
      one.replicas[0]?.leads === true &&
      one.uplink?.phase === 'connected' &&
      isWhole(one),
    5_000,
  )
  expect(report.uplink?.epoch).toBeGreaterThan(before)
  await traffic.more(300)
  await compose('up', '--detach', '--no-recreate', '--wait', leader)
  await until('both replicas are back', () => reportOf(leader), isWhole)
  await traffic.more(300)
  expect((await traffic.stop()).failures).toEqual([])
})

test('K25 Redis is killed: requests pass, changes are served, and the planes report it until it is back', async () => {
  const planes = ['global-1', 'global-2', ...replicasOfWest]
  const everywhere = (phase: string) =>
    Promise.all(
      planes.map((name) =>
        until(
          name,
          () => reportOf(name),
          ({ redis }) => redis?.phase === phase,
          limitMs,
        ),
      ),
    )
  await everywhere('connected')
  await using traffic = startTraffic(() => ask('east'))
  await compose('kill', 'redis')
  for (const { redis } of await everywhere('away')) expect(redis?.reason).not.toBe('')
  const apply = `cd '${root}' && docker compose run --rm -T zonemesh apply -f - --wait served@all --timeout 30s`
  const { code, stdout, stderr } = await runCommand('bash', ['-c', apply], timeoutOf(9), limitMs)
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.match(/^\w+: served after/gm)).toHaveLength(3)
  await traffic.more(100)
  await compose('up', '--detach', '--no-recreate', '--wait', 'redis')
  await everywhere('connected')
  expect((await traffic.stop()).failures).toEqual([])
})

test('K26 Prometheus reads every replica of the fleet, and has the alerts', async () => {
  const prometheus = async (path: string) =>
    (await requestOnce({ host: '127.0.0.1', port: 9090, hostname: 'localhost', path: `/api/v1/${path}` })).body
  const up = () => prometheus('query?query=sum(up)')
  await until('all planes are up', up, (body) => body.includes('"6"'), limitMs)
  expect(await prometheus('rules')).toMatch(/"name":"Zonemesh\w+"/)
})

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
