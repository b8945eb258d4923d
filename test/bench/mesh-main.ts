// The figures of a mesh: a global, two zones and their Envoys, started as the demo starts them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@zonemesh/cli/base/client.ts'
import { requestOnce, untilAnswer } from '@zonemesh/cli/base/http.ts'
import { defaultNames } from '@zonemesh/cli/demo/names.ts'
import { changeRoute, prove } from '@zonemesh/cli/demo/prove.ts'
import { type Demo, startDemo } from '@zonemesh/cli/demo/run.ts'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { type Figure, outFile, writeFigures } from './figures.ts'
import { measureFloor } from './floor.ts'
import { storeDataplanes, storeRoutes } from './load.ts'

const args = process.argv.slice(2)
const short = args.includes('--short')
const out = outFile(args, 'latest.json')
const counts = short
  ? { changes: 20, dataplanes: 200, routes: 60, newServices: 5, idleMs: 3_000 }
  : { changes: 200, dataplanes: 1_000, routes: 300, newServices: 40, idleMs: 20_000 }
const local = '127.0.0.1'
const stop = new AbortController()
process.on('SIGINT', () => stop.abort(new Error('stopped by SIGINT')))
const say = (line: string) => process.stderr.write(`${line}\n`)
const figures: Figure[] = []
/** The failed assertions of the short form, which checks counts, never times. */
const failures: string[] = []

async function routeChanges(demo: Demo, name: string, target: NonNullable<Figure['target']>): Promise<void> {
  const samples: number[] = []
  for (let index = 0; index < counts.changes; index += 1) {
    samples.push(await changeRoute(demo, index % 2 === 0 ? demo.names.version2 : demo.names.version1))
  }
  figures.push({ name, unit: 'ms', samples, target })
}

/** A counter of a plane, read from its metrics. */
async function counted(address: string, name: string): Promise<number> {
  const text = await (await fetch(`${address}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
}

const revisionOf = async (address: string): Promise<number> =>
  ((await (await fetch(`${address}/_status`)).json()) as { revision: number }).revision

/** The cost of a route change in counts, which do not depend on the machine, so the short form checks them. */
async function costOfChanges(demo: Demo): Promise<void> {
  const { east } = demo.zones
  const read = async () => ({
    units: await counted(east.healthAddress, 'zonemesh_units_compiled_total'),
    globalCommits: await revisionOf(demo.globalAddress),
    zoneCommits: await revisionOf(east.apiAddress),
  })
  const changes = 10
  const before = await read()
  for (let index = 0; index < changes; index += 1)
    await changeRoute(demo, index % 2 === 0 ? demo.names.version2 : demo.names.version1)
  const after = await read()
  const limits = { units: 12, globalCommits: 1, zoneCommits: 1 }
  for (const key of ['units', 'globalCommits', 'zoneCommits'] as const) {
    const each = (after[key] - before[key]) / changes
    const name = {
      units: 'units compiled in east per route change',
      globalCommits: 'commits of the global per route change',
      zoneCommits: 'commits of east per route change',
    }[key]
    figures.push({ name, unit: 'count', samples: [each], target: { max: limits[key] } })
    if (!(each <= limits[key])) failures.push(`${name}: expected at most ${limits[key]}, found ${each}`)
  }
}

/**
 * Adds an inbound of a new service to a running sidecar in west, and measures when its name resolves in east and when
 * east's gateway routes to it.
 */
async function newServices(demo: Demo): Promise<void> {
  const { mesh, gateway, listenerTag, hostname } = demo.names
  const west = createClient({
    address: demo.zones.west.apiAddress,
    token: undefined,
    tokenFile: undefined,
    caCertFile: undefined,
  })
  const path = `/meshes/${mesh}/dataplanes/echo-1`
  const original = (await west.need('GET', path)).json as { networking: { inbound: { port: number }[] } }
  const [first] = original.networking.inbound
  const ports = await freePorts(systemRandom, counts.newServices)
  const names: number[] = []
  const routes: number[] = []
  for (let index = 0; index < counts.newServices; index += 1) {
    const service = `fresh-${index}_bench_svc_80`
    const route = {
      type: 'MeshGatewayRoute',
      mesh,
      name: `fresh-${index}`,
      selectors: [{ match: { 'kuma.io/service': gateway, listener: listenerTag } }],
      conf: {
        http: {
          hostnames: [hostname],
          rules: [
            {
              matches: [{ path: { match: 'PREFIX', value: `/fresh-${index}` } }],
              backends: [{ destination: { 'kuma.io/service': service } }],
            },
          ],
        },
      },
    }
    const reply = await demo.global.need('PUT', `/meshes/${mesh}/meshgatewayroutes/fresh-${index}`, route)
    await demo.global.need(
      'GET',
      `/_receipts/${encodeURIComponent(String(reply.headers['zonemesh-revision']))}?wait=served@all&timeout=5s`,
    )
    const inbound = {
      ...first,
      port: ports[index] ?? 0,
      tags: { 'kuma.io/service': service, 'kuma.io/protocol': 'http' },
    }
    const { networking, ...rest } = original
    const startMs = performance.now()
    const written = west.need('PUT', path, {
      ...rest,
      networking: { ...networking, inbound: [...networking.inbound, inbound] },
    })
    const named = untilFast(
      () => resolve(`fresh-${index}.bench.svc.80.mesh`, { host: local, port: demo.zones.east.dnsPort }, stop.signal),
      (answer) => answer.addresses.length > 0,
    )
    const routed = untilOverlapping(
      () => requestOnce({ host: local, port: demo.gatewayPort, hostname, path: `/fresh-${index}` }),
      (answer) => answer.status === 200,
    )
    names.push((await named) - startMs)
    routes.push((await routed) - startMs)
    await written
  }
  figures.push({
    name: 'new service in west → its name answers in east',
    unit: 'ms',
    samples: names,
    target: { p99: 100 },
  })
  figures.push({
    name: "new service in west → east's gateway routes to it",
    unit: 'ms',
    samples: routes,
    target: { p99: 100 },
  })
}

async function untilFast<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<number> {
  const endMs = performance.now() + 10_000
  while (performance.now() < endMs) {
    const answer = await ask().catch(() => undefined)
    if (answer !== undefined && isRight(answer)) return performance.now()
    await delay(systemClock, 1, stop.signal)
  }
  throw new Error('not within 10 s')
}

/**
 * Like `untilFast`, with overlapping requests: a request without an endpoint is retried by Envoy with back-offs of up
 * to 250 ms, which would be measured instead.
 */
function untilOverlapping<T>(ask: () => Promise<T>, isRight: (answer: T) => boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const stopAsking = (): void => {
      clearInterval(asking)
      clearTimeout(limit)
    }
    const asking = setInterval(() => {
      ask().then(
        (answer) => {
          if (!isRight(answer)) return
          stopAsking()
          resolve(performance.now())
        },
        () => {},
      )
    }, 5)
    const limit = setTimeout(() => {
      stopAsking()
      reject(new Error('not within 10 s'))
    }, 10_000)
  })
}

const ticksPerSecond = 100

/** CPU seconds and resident MiB of a process, as Linux counts them. */
function usage(pid: number): { readonly cpuSeconds: number; readonly mib: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond, mib: Number(rss) / 1024 }
}

async function idle(demo: Demo): Promise<void> {
  const planes = ['global', 'zone-east', 'zone-west'] as const
  const before = planes.map((name) => usage(demo.processes.get(name)?.pid ?? 0))
  await delay(systemClock, counts.idleMs, stop.signal)
  planes.forEach((name, index) => {
    const after = usage(demo.processes.get(name)?.pid ?? 0)
    const share = ((after.cpuSeconds - (before[index]?.cpuSeconds ?? 0)) / (counts.idleMs / 1000)) * 100
    figures.push({ name: `idle CPU of ${name}`, unit: '% core', samples: [share], target: { max: 1 } })
    figures.push({
      name: `memory of ${name}`,
      unit: 'MiB',
      samples: [after.mib],
      target: { max: name === 'global' ? 130 : 200 },
    })
  })
}

/** Restarts a zone without its global and measures the time until it answers names and its waiting Envoys. */
async function restart(demo: Demo): Promise<void> {
  await demo.processes.kill('global', 'SIGTERM')
  const east = createClient({
    address: demo.zones.east.apiAddress,
    token: undefined,
    tokenFile: undefined,
    caCertFile: undefined,
  })
  const samples = { names: [] as number[], proxies: [] as number[] }
  for (let index = 0; index < (short ? 1 : 5); index += 1) {
    const again = await demo.processes.kill('zone-east', 'SIGKILL')
    const startMs = performance.now()
    again()
    const name = `${demo.names.service.replaceAll('_', '.')}.mesh`
    const named = untilFast(
      () => resolve(name, { host: local, port: demo.zones.east.dnsPort }, AbortSignal.timeout(50)),
      (answer) => answer.addresses.length > 0,
    )
    const served = untilFast(
      () => east.call('GET', '/_status'),
      // A proxy counts as answered when its stream is open and it has accepted its configuration.
      (reply) =>
        (reply.json as { proxies: { state: string; served: number }[] }).proxies.some(
          (proxy) => proxy.state === 'connected' && proxy.served > 0,
        ),
    )
    samples.names.push((await named) - startMs)
    samples.proxies.push((await served) - startMs)
  }
  figures.push({
    name: 'zone restarted without a global → names',
    unit: 'ms',
    samples: samples.names,
    target: { max: 1000 },
  })
  figures.push({
    name: 'zone restarted without a global → waiting Envoy served',
    unit: 'ms',
    samples: samples.proxies,
    target: { max: 1000 },
  })
}

/** Requests that run during the measurement: none may fail. */
function traffic(demo: Demo) {
  const end = new AbortController()
  let requests = 0
  let failed = 0
  const running = (async () => {
    while (!end.signal.aborted) {
      const answer = await requestOnce({
        host: local,
        port: demo.gatewayPort,
        hostname: demo.names.hostname,
        path: '/',
      }).catch(() => undefined)
      requests += 1
      if (answer?.status !== 200) failed += 1
      await delay(systemClock, 5, end.signal).catch(() => {})
    }
  })()
  return async () => {
    end.abort()
    await running
    return { requests, failed }
  }
}

const folder = mkdtempSync(join(tmpdir(), 'zonemesh-bench-'))
let demo: Demo | undefined
try {
  say('floor: two durable commits and raw xDS to an Envoy …')
  figures.push({
    name: 'floor: 2 durable commits + raw xDS → Envoy',
    unit: 'ms',
    samples: await measureFloor(counts.changes),
  })
  say('starting a global, two zones and their proxies …')
  const running = await startDemo(defaultNames, folder, { done: () => {} }, stop.signal)
  demo = running
  await prove(running, { done: () => {} })
  const target = { p50: 10, p99: 50 }
  say(`${counts.changes} route changes …`)
  await routeChanges(running, 'route PUT on global → answered by the other zone', target)
  say(`storing ${counts.dataplanes} dataplanes and ${counts.routes} routes …`)
  const west = createClient({
    address: running.zones.west.apiAddress,
    token: undefined,
    tokenFile: undefined,
    caCertFile: undefined,
  })
  await storeDataplanes(west, counts.dataplanes, running.names.mesh)
  await storeRoutes(running.global, counts.routes, running.names.mesh)
  await untilAnswer(
    'the load is everywhere',
    60_000,
    async () => (await running.global.need('GET', '/dataplanes?size=1')).json as { total: number },
    (list) => list.total >= counts.dataplanes,
    (list) => String(list.total),
  )
  const stopTraffic = traffic(running)
  await routeChanges(running, `the same with ${counts.dataplanes} dataplanes and ${counts.routes} routes`, target)
  const { requests, failed } = await stopTraffic()
  figures.push({
    name: `failed of ${requests} requests meanwhile`,
    unit: 'count',
    samples: [failed],
    target: { max: 0 },
  })
  if (failed > 0) failures.push(`${failed} of ${requests} requests failed while routes changed`)
  await costOfChanges(running)
  say(`${counts.newServices} new services …`)
  await newServices(running)
  say('idle …')
  await idle(running)
  say('restarting a zone without its global …')
  await restart(running)
} catch (thrown) {
  failures.push(thrown instanceof Error ? thrown.message : String(thrown))
} finally {
  await demo?.stop()
  rmSync(folder, { recursive: true, force: true })
}
writeFigures(out, { short, counts, figures, failures })
say(`written to ${out}`)
for (const failure of failures) say(`failed: ${failure}`)
process.exit(failures.length > 0 ? 1 : 0)
